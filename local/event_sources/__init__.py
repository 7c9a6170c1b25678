"""Does for the embedded engine what Lambda's pollers do on AWS, through public AWS APIs only.

It keeps no state but stream checkpoints: whatever it holds when it is killed comes back by itself, messages when their
visibility ends and stream records from the last checkpoint. It never touches a mapping that is disabled.
"""
