"""What a run says about itself, and what happens when a step goes wrong.

``metrics_file`` and ``trackers`` get the figures of every step, ``inspection`` looks inside one;
``guard`` notices a loss or gradient that is not right, and ``trouble`` says what may be the reason.
"""
