"""PIDs: Handle records for CMIP6+ data, from the messages that announce it."""
