"""How the machine computes: precision, compiling, threads.

``choice`` decides, by ``calibration``, which times a few steps of a ``rehearsal``;
``known_choices`` finds the answer again, and ``precision`` applies it.
"""
