"""What describes a new container: the flags of run and create, and the request that is made of them."""
