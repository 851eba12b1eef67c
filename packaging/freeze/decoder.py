"""Entry of the frozen `parley-decoder`. Knows only how a frozen program starts; it starts itself again for each job."""

import multiprocessing

from app.media.__main__ import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
