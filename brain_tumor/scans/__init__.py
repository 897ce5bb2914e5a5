"""From files of any format to volumes, slices and cases."""
