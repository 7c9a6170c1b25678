"""Many documents as one piece of work: what is listed of them, and what came of each.

Invariant: every document that is listed is in the report, once, in the order of the list, whatever became of it. The
package is pure: it is handed the contents of files and hands back others.
"""
