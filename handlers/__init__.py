"""What happens when a request comes in: a module an OCPI module, a function an operation; and the seam."""
