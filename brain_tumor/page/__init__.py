"""A page in the browser to try a run on a scan; optional (extra `page`), and nothing else imports it."""
