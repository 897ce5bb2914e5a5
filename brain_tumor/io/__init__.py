"""Files and folders: whole or not there at all, tables, archives, downloads."""
