"""Training past one machine, before buying it.

``estimate`` (memory, traffic and time of a layout), ``sizes`` (models to plan with).
"""
