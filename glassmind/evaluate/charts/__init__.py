"""Charts as SVG: ``svg`` (elements, scales, axes) and ``line_chart``."""
