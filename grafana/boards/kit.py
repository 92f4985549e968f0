"""What all boards share: the two languages, variables, and panels that say what good looks like.

For Grafana 11 and later, core panels alone. Colours are told apart by colour-blind people too: blue
is good, orange wants a look, and dark red is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

GOOD, LOOK, WRONG, PLAIN = "blue", "orange", "dark-red", "text"
#: Series of the nodes of the machines that are chosen.
NODES = 'instance=~"$machine",node=~"$node"'
#: Series of the machines that are chosen.
MACHINES = 'instance=~"$machine"'
#: Grafana puts the version of the schema here; it migrates older ones itself.
SCHEMA_VERSION = 41
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_BOARDS = ("swarm", "node", "machine", "fleet", "exporter")


class Text(NamedTuple):
    """A text in both languages."""

    en: str
    zh: str


class Steps(NamedTuple):
    """Where a figure stops to be good: from `look` on, and from `wrong` on.

    Where they fall, less is worse.
    """

    look: float
    wrong: float


class Kit:
    """Builds the parts of boards in one language."""

    def __init__(self, language: str) -> None:
        """Build in `en` or `zh`."""
        self._language = language

    def say(self, text: Text) -> str:
        """Return a text in this kit's language."""
        return text.zh if self._language == "zh" else text.en

    def board(self, name: str, title: Text, description: Text, *, node: bool) -> Any:  # noqa: ANN401
        """Begin a board with its variables and the links to the others."""
        built = (
            dashboard.Dashboard(f"RL Swarm / {self.say(title)}")
            .uid(f"swarm-{name}")
            .description(self.say(description))
            .tags(["rl-swarm"])
            .refresh("30s")
            .time("now-24h", "now")
            .timezone("browser")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .editable()
            .with_variable(
                dashboard.DatasourceVariable("datasource")
                .label(self.say(Text("Data source", "数据源")))
                .type("prometheus")
            )
            .with_variable(self._variable("machine", Text("Machine", "机器"), _INSTANCES))
        )
        if node:
            built = built.with_variable(self._variable("node", Text("Node", "节点"), _NODE_NAMES))
        for other in _BOARDS:
            if other != name:
                built = built.link(
                    dashboard.DashboardLink(other.capitalize())
                    .type(models.DashboardLinkType.LINK)
                    .url(f"/d/swarm-{other}")
                    .keep_time(True)
                    .include_vars(True)
                )
        return built

    def row(self, title: Text, *, repeat: str | None = None) -> dashboard.Row:
        """Begin a row; it may repeat for each value of a variable."""
        row = dashboard.Row(self.say(title))
        return row.repeat(repeat) if repeat is not None else row

    def stat(
        self,
        title: Text,
        good: Text,
        queries: Sequence[prometheus.Dataquery],
        unit: str,
        *,
        steps: Steps | None = None,
        span: int = 4,
        decimals: int | None = None,
        spark: bool = False,
    ) -> stat.Panel:
        """Return one large figure, or a few of them."""
        panel = (
            stat.Panel()
            .title(self.say(title))
            .description(self.say(good))
            .datasource(_SOURCE)
            .unit(unit)
            .span(span)
            .height(4)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .color_mode(common_models.BigValueColorMode.VALUE)
            .graph_mode(
                common_models.BigValueGraphMode.AREA
                if spark
                else common_models.BigValueGraphMode.NONE
            )
            .text_mode(
                common_models.BigValueTextMode.VALUE_AND_NAME
                if len(queries) > 1
                else common_models.BigValueTextMode.VALUE
            )
            .thresholds(thresholds(steps))
            .no_value("–")
        )
        if decimals is not None:
            panel = panel.decimals(decimals)
        for target in queries:
            panel = panel.with_target(target)
        return panel

    def series(
        self,
        title: Text,
        good: Text,
        queries: Sequence[prometheus.Dataquery],
        unit: str,
        *,
        span: int = 12,
        height: int = 8,
        stacked: bool = False,
        bars: bool = False,
        steps: Steps | None = None,
        least: float | None = 0,
        most: float | None = None,
        interval: str | None = None,
    ) -> timeseries.Panel:
        """Return figures over time."""
        legend = (
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        panel = (
            timeseries.Panel()
            .title(self.say(title))
            .description(self.say(good))
            .datasource(_SOURCE)
            .unit(unit)
            .span(span)
            .height(height)
            .legend(legend)
            .tooltip(
                common.VizTooltipOptions()
                .mode(common_models.TooltipDisplayMode.MULTI)
                .sort(common_models.SortOrder.DESCENDING)
            )
            .line_width(1)
            .fill_opacity(70 if bars else 25 if stacked else 5)
            .show_points(common_models.VisibilityMode.AUTO)
            .span_nulls(False)
            .thresholds(thresholds(steps))
            .no_value("–")
        )
        if steps is not None:
            panel = panel.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(
                    common_models.GraphThresholdsStyleMode.DASHED
                )
            )
        if bars:
            panel = panel.draw_style(common_models.GraphDrawStyle.BARS)
        if stacked:
            panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        if least is not None:
            panel = panel.min(least)
        if most is not None:
            panel = panel.max(most)
        if interval is not None:
            panel = panel.interval(interval)
        for target in queries:
            panel = panel.with_target(target)
        return panel

    def table(
        self,
        title: Text,
        good: Text,
        columns: Sequence[Column],
        *,
        sort: str,
        descending: bool = False,
        height: int = 9,
    ) -> table.Panel:
        """Return a row for each node, or for whatever the first labels of the columns name.

        `sort` is the key of the column that orders the rows, the worst first.
        """
        titles = {column.key: self.say(column.title) for column in columns}
        panel = (
            table.Panel()
            .title(self.say(title))
            .description(self.say(good))
            .datasource(_SOURCE)
            .unit("short")
            .span(24)
            .height(height)
            .thresholds(thresholds(None))
            .sort_by([common.TableSortByFieldState().display_name(titles[sort]).desc(descending)])
            .no_value("–")
        )
        renamed: dict[str, str] = {}
        order: dict[str, int] = {}
        hidden = {"Time": True, "__name__": True, "job": True}
        for place, column in enumerate(columns):
            field = column.key
            if column.query is not None:
                ref = _reference(place)
                panel = panel.with_target(column.query.ref_id(ref))
                value = f"Value #{ref}"
                if column.label:
                    hidden[value] = True
                else:
                    field = value
            renamed[field] = titles[column.key]
            order[field] = place
            overrides = [("unit", column.unit)] if column.unit else []
            if column.steps is not None:
                overrides += [
                    ("thresholds", thresholds(column.steps).build()),
                    ("custom.cellOptions", {"type": "color-text"}),
                ]
            if column.width is not None:
                overrides.append(("custom.width", column.width))
            if column.mappings:
                overrides += [
                    ("mappings", _mappings(column.mappings, self)),
                    ("custom.cellOptions", {"type": "color-text"}),
                ]
            if column.link:
                overrides.append(("links", [{"title": titles[column.key], "url": column.link}]))
            if overrides:
                panel = panel.override_by_name(
                    titles[column.key],
                    [
                        models.DynamicConfigValue(id_val=key, value=value)
                        for key, value in overrides
                    ],
                )
        return panel.with_transformation(
            models.DataTransformerConfig(id_val="merge", options={})
        ).with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": hidden,
                    "indexByName": order,
                    "renameByName": renamed,
                },
            )
        )

    def _variable(self, name: str, label: Text, query: str) -> dashboard.QueryVariable:
        return (
            dashboard.QueryVariable(name)
            .label(self.say(label))
            .datasource(_SOURCE)
            .query({"query": query, "refId": name})
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.NATURAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(models.VariableOption(selected=True, text="All", value="$__all"))
        )


_INSTANCES = "label_values(swarm_exporter_build_info, instance)"
_NODE_NAMES = f"label_values(swarm_node_info{{{MACHINES}}}, node)"


class Column(NamedTuple):
    """One column of a table: a label, or the value of a query."""

    #: The label, or a name of its own.
    key: str
    title: Text
    query: prometheus.Dataquery | None = None
    unit: str = ""
    steps: Steps | None = None
    #: True where the query gives the label `key` and its value says nothing.
    label: bool = False
    width: int | None = None
    #: Value -> how it is shown, and in which colour.
    mappings: tuple[tuple[str, Text, str], ...] = ()
    link: str = ""


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query of figures over time."""
    built = prometheus.Dataquery().expr(expression).range().datasource(_SOURCE)
    return built.legend_format(legend or "__auto")


def now(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query of the newest figure."""
    built = prometheus.Dataquery().expr(expression).instant().datasource(_SOURCE)
    return built.legend_format(legend or "__auto")


def cell(expression: str) -> prometheus.Dataquery:
    """Return a query of a table's column."""
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    built = prometheus.Dataquery().expr(expression).instant().datasource(_SOURCE)
    return built.format(PromQueryFormat.TABLE)


def thresholds(steps: Steps | None) -> dashboard.ThresholdsConfig:
    """Return the colours of a figure by its size."""
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    if steps is None:
        return config.steps([models.Threshold(value=None, color=PLAIN)])
    first, second = (GOOD, LOOK) if steps.look <= steps.wrong else (WRONG, LOOK)
    low, high = sorted((steps.look, steps.wrong))
    third = WRONG if steps.look <= steps.wrong else GOOD
    return config.steps(
        [
            models.Threshold(value=None, color=first),
            models.Threshold(value=low, color=second),
            models.Threshold(value=high, color=third),
        ]
    )


def _mappings(mappings: Sequence[tuple[str, Text, str]], kit: Kit) -> list[dict[str, Any]]:
    options = {
        value: {"text": kit.say(text), "color": color, "index": place}
        for place, (value, text, color) in enumerate(mappings)
    }
    return [{"type": "value", "options": options}]


def _reference(place: int) -> str:
    return chr(ord("A") + place)
