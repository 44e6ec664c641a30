"""Planning training on many GPUs.

``estimate`` (memory, traffic and time of a layout), ``sizes`` (models to plan with).
"""
