"""Reports of a day, a week or a month, as a page to print and by mail: a box and a centre have the same."""
