"""A page in the browser to try a run on a scan; optional (extra `page`), so that nothing else imports it."""
