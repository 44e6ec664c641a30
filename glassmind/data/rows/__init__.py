"""Rows of files, whatever the file is.

``files`` finds out what it is; ``json_rows`` and ``json_lines`` read JSON, ``parquet_rows``
parquet, ``text_file`` tables and text. ``bad_rows`` counts those that cannot be used.
"""
