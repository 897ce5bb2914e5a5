"""The report's chapters, a file each: `chapter` turns grouped runs into blocks of the page."""
