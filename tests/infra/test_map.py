from pathlib import Path

import pytest

from infra import map as topic_map
from infra.errors import UserError
from schemas.catalogue import TOPICS

ROOT = Path(__file__).parent.parent.parent


def test_every_topic_is_there_with_its_maker() -> None:
    entries = {entry.topic: entry for entry in topic_map.survey()}
    assert set(entries) == set(TOPICS)
    assert [str(place).partition(":")[0] for place in entries["buckets"].makers] == ["processors/buckets.py"]
    assert "processors/emas.py" in {place.file for place in entries["buckets"].readers}
    assert {"consumers/paper.py"} <= {place.file for place in entries["merges"].readers}
    assert "producers/coinbase.py" in {place.file for place in entries["ticks"].makers}
    assert all(entry.makers for entry in entries.values())


def test_each_place_is_the_line_of_its_class() -> None:
    for entry in topic_map.survey():
        for place in entry.makers + entry.readers:
            line = (ROOT / place.file).read_text().splitlines()[place.line - 1]
            assert place.line == 1 or line.startswith((f"class {place.name}", "def run")), place


def test_topics_stand_after_what_they_are_made_of() -> None:
    order = [entry.topic for entry in topic_map.survey()]
    flow = ["ticks", "buckets", "emas", "jump_losses", "calibrations"]
    assert sorted(flow, key=order.index) == flow


def test_the_map_is_written_between_its_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{topic_map.BEGIN}\nold\n{topic_map.END}\nafter\n")
    topic_map.show_map(write=readme)
    assert topic_map.block(readme) == topic_map.markdown(topic_map.survey())
    assert readme.read_text().startswith("before\n<!-- map:begin -->\n```mermaid\nflowchart LR\n")
    assert readme.read_text().endswith("<!-- map:end -->\nafter\n")


def test_a_file_without_marks_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("nothing")
    with pytest.raises(UserError, match="map:begin"):
        topic_map.replace(tmp_path / "a.md", "")
    with pytest.raises(UserError, match="No such file"):
        topic_map.replace(tmp_path / "b.md", "")
