"""The operations of the OCPI peer API, one module a file of openapi/ocpi/."""
