"""The operations of the gateway API, one module a file of openapi/gateway/."""
