"""Publishing: a job's folder into object store, dataset index and STAC API, all three or none."""
