"""From a finished run, an exported file or several of them to answers on scans."""
