"""What may be done to a stream, a person, a detection: the command line, the API, the pages and the demo call this.

Handlers translate forms and JSON into calls, and errors into answers; what is refused and why is decided here, once.
"""
