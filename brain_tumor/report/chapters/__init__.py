"""Write the report's chapters, one per file: `chapter` turns grouped runs into blocks of the page."""
