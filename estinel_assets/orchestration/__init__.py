"""What all product lines share of Dagster: resources, IO managers, partitions, failures."""
