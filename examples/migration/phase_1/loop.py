"""Phase 1: the same loop, with its model calls out: `python -m examples.migration.phase_1.loop`.

One line is another: what the model is asked is a task. Its key is the letter's, so a loop that is started again finds
the draft that it paid for already.
"""

from __future__ import annotations

import sys

from examples.migration.flotilla_api import Flotilla, TaskFailedError
from examples.migration.world import Mailbox, Post


def work_off(mailbox: Mailbox, flotilla: Flotilla, post: Post) -> None:
    """Answer what is in the mailbox."""
    while True:
        letter = mailbox.get_next_task()
        if letter is None:
            return
        try:
            draft = flotilla.result("letter.draft", {"text": letter.text}, key=f"draft/{letter.id}")
        except TaskFailedError as failed:
            mailbox.put_away(letter.id, str(failed))
            continue
        post.send(letter.id, draft["text"])
        mailbox.mark_done(letter.id)


def main() -> str:
    """Run it; what there is to tell."""
    mailbox, post = Mailbox(), Post(killed_after=None)
    with Flotilla() as flotilla:
        work_off(mailbox, flotilla, post)
    aside = "; ".join(f"{letter_id}: {why}" for letter_id, why in mailbox.put_aside.items())
    return f"{len(post.sent)} answered, {len(mailbox.put_aside)} put aside ({aside})"


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
