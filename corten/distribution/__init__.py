"""The client of image registries (distribution-spec): names, endpoints, credentials, manifests and blobs."""
