"""Parley: a private desktop chat with one large multimodal model on one's own GPU.

The package holds four programs that speak the messages of `app.protocol` over their standard streams: the window
(`python -m app`), the engine (`python -m app.engine`), the decoder (`python -m app.media`) and the downloader.
Importing `app` itself imports none of them.
"""

__version__ = "0.1.0"
APP_NAME = "Parley"
