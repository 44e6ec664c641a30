"""Charts as SVG: ``svg`` (elements, scales, axes), ``line_chart`` and ``histogram``."""
