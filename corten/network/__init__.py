"""IPAM, drivers, sandboxes, endpoints, ports, firewall."""
