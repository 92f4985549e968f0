"""What every source of single nodes could tell, all of it told."""

from __future__ import annotations

from swarm_exporter.model import NodeFacts
from swarm_exporter.sources.chain import ChainFacts
from swarm_exporter.sources.hosted_json import HostedFacts
from swarm_exporter.sources.log_patterns import ErrorKind
from swarm_exporter.sources.login import LoginFacts
from swarm_exporter.sources.training_log import TrainingLogFacts
from swarm_exporter.sources.wandb_runs import TrackingFacts


def make_facts() -> dict[type[NodeFacts], NodeFacts]:
    """A node of RL Swarm v0.7 that trains, submits, and has had its share of trouble."""
    facts = (
        ChainFacts(
            preset="codezero",
            contract="0x7745a8FE4b8D2D2c3BB103F8dCae822746F35Da0",
            rewards=412,
            wins=9,
            votes=31,
            registered=True,
            round=7,
            stage=0,
            unique_voters=5_210,
        ),
        HostedFacts(
            reward=412.0,
            score=31.0,
            online=True,
            peer_id="QmA",
            nickname="tall slow flamingo",
            reward_at=1_799_996_000.0,
        ),
        TrainingLogFacts(
            log="logs/swarm_launcher.log",
            last_line_at=1_799_999_990.0,
            joined_round=7,
            joined_at=1_799_999_700.0,
            waiting_since=1_799_999_950.0,
            loss=0.25,
            reward=1.5,
            submissions={"accepted": 12, "refused": 1},
            winner_submissions={"accepted": 12, "refused": 0},
            last_submit_at=1_799_996_000.0,
            errors={kind.value: int(kind is ErrorKind.OUT_OF_MEMORY) for kind in ErrorKind},
            starts=2,
        ),
        LoginFacts(login_data=True, activated=True, app_answers=True),
        TrackingFacts(
            offline_runs=2,
            offline_bytes=48_000,
            newest_run=1_799_999_000.0,
            tensorboard_files=1,
            tensorboard_bytes=9_000,
            newest_event=1_700_000_000.0,
        ),
    )
    return {type(each): each for each in facts}
