"""Plays a recorded stream into a history and says after each commit what a window would have painted; to be killed.

python -m tests.history.writer FOLDER PAUSE
"""

import os
import sys
from pathlib import Path
from threading import Event

from app.chat.conversation import Conversation
from app.history.store import Growth, Store

PIECES = [f"word{number} " for number in range(20_000)]


def main() -> None:
    store = Store(Path(sys.argv[1]))
    pause = float(sys.argv[2])
    conversation = Conversation()
    answer = conversation.ask("A long story?", (), thinking=True)
    store.add(conversation, conversation.nodes.values(), {})
    painted = 0
    for number, piece in enumerate(PIECES):
        store.grow(answer.key, [Growth("answer", piece, number + 1, 0.0)])
        painted += len(piece)
        os.write(1, b"%d\n" % painted)
        if pause:
            Event().wait(pause)


if __name__ == "__main__":
    main()
