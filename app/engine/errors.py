"""What can go wrong in the engine and a person can do something about: each text is one sentence with a way out.

Does not know: who shows the sentence.
"""


class CheckpointError(Exception):
    """A model folder that cannot be run as it is."""


class DeviceError(Exception):
    """A device that was asked for and is not there."""


class NotEnoughMemoryError(Exception):
    """A model that does not fit the memory of its device."""


class MediaError(Exception):
    """A decoded picture or video that the model cannot take."""
