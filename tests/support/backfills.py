"""Backfills as the UI launches them, and what is to be seen of them there."""

import dagster as dg

from estinel_assets.orchestration.runs import PARTITION_TAG
from tests.support.daemon import RunningDagster

_LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
_BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
_PARTITIONS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses {
          materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions
        }
      }
    }
  }
}"""


def backfill(running: RunningDagster, asset: str, partition: str) -> dg.RunRecord:
    """Launch a backfill of one partition, and wait for its run."""
    params = {"assetSelection": [{"path": [asset]}], "partitionNames": [partition]}
    launched = running.graphql(_LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def ended() -> bool:
        found = running.graphql(_BACKFILL, id=launched["backfillId"])
        status = found["partitionBackfillOrError"]["status"]
        assert status not in {"FAILED", "CANCELED"}
        return str(status).startswith("COMPLETED")

    running.until(ended, "the end of the backfill")
    tags = {"dagster/backfill": launched["backfillId"]}
    (record,) = running.instance.get_run_records(dg.RunsFilter(tags=tags))
    return record


def statuses(running: RunningDagster, asset: str) -> dict[str, set[str]]:
    """The partitions of an asset by what the UI shows of them, such as `failed`."""
    found = running.graphql(_PARTITIONS, asset={"path": [asset]})["assetNodeOrError"]
    return {
        name.removesuffix("Partitions"): set(keys)
        for name, keys in found["assetPartitionStatuses"].items()
        if keys
    }


def report(instance: dg.DagsterInstance, run_id: str, asset: str) -> dict[str, object]:
    """What an asset's one observation of a run says, of the partition that the run is of."""
    (observed,) = (
        one
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION)
        if entry.dagster_event is not None
        and (one := entry.dagster_event.asset_observation_data.asset_observation).asset_key
        == dg.AssetKey(asset)
    )
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert observed.partition == run.tags[PARTITION_TAG]
    return {name: value.value for name, value in observed.metadata.items()}
