"""What the boards share: panels with their texts, queries, tables, variables and links.

Built with grafana-foundation-sdk for Grafana 11 and later; no panel needs a further plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BarAlignment,
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    ValueMapping,
    VariableHide,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from boards.palette import PLAIN
from boards.texts import TEXTS, Language, word

#: All boards have it, so that they find each other.
TAG = "rl-swarm"
#: The person picks the Prometheus; nothing else names one.
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel | bargauge.Panel
PanelT = TypeVar(
    "PanelT", timeseries.Panel, stat.Panel, table.Panel, statetimeline.Panel, bargauge.Panel
)


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the name of its series (a word of `texts`, or a {{template}})."""

    expr: str
    name: str = ""
    #: At the right end of the time range alone, not along it.
    instant: bool = False


def _quoted(label: str) -> str:
    return f'"{label}"'


def counted(counter: str) -> str:
    """Return PromQL: by how much a counter rose within a bar, which is drawn where it begins."""
    return f"increase({counter}[$__interval] offset -$__interval)"


@dataclass(frozen=True)
class Column:
    """A column of a table: a label of the rows, or one figure for each row."""

    #: The label's name, or the column's title, both words of `texts`.
    name: str
    #: None for a label.
    expr: str | None = None
    unit: str = "short"
    width: int | None = None
    decimals: int | None = None
    colour: build.ThresholdsConfig | None = None
    mapping: ValueMapping | None = None
    #: Address that a click leads to.
    link: str | None = None
    link_name: str = ""


@dataclass
class Sheet:
    """A board that is filled from left to right and from top to bottom."""

    uid: str
    language: Language
    since: str
    builder: build.Dashboard = field(init=False)
    _panels: int = 0

    def __post_init__(self) -> None:
        text = TEXTS[self.uid][self.language]
        self.builder = (
            build.Dashboard(text.title)
            .uid(self.uid)
            .description(text.about)
            .tags([TAG])
            .time(self.since, "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .with_variable(
                build.DatasourceVariable("datasource")
                .type("prometheus")
                .label(word("data source", self.language))
            )
            .link(
                build.DashboardLink(word("boards", self.language))
                .type(DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .include_vars(True)
                .keep_time(True)
            )
        )

    def as_json(self) -> str:
        """Return the board as the file that Grafana imports, with keys in a fixed order."""
        document = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
        return document.encode(self.builder.build()) + "\n"

    def word(self, key: str) -> str:
        """Return a word in the board's language."""
        return word(key, self.language)

    # What a person can choose.

    def machines(self, *, many: bool) -> None:
        """Let the person choose the machine, by the label `instance`."""
        self._choice("machine", "label_values(swarm_exporter_build_info, instance)", many=many)

    def nodes(self, selector: str) -> None:
        """Let the person choose nodes of the chosen machines."""
        self._choice("node", f"label_values(swarm_node_info{{{selector}}}, node)", many=True)

    def _choice(self, name: str, query: str, *, many: bool) -> None:
        variable = (
            build.QueryVariable(name)
            .label(self.word(name))
            .datasource(SOURCE)
            .query({"query": query, "refId": name})
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.NATURAL_ASC)
        )
        if many:
            variable = variable.multi(True).include_all(True).all_value(".+")
        self.builder.with_variable(variable)

    def input(self, name: str, preset: str, *, hidden: bool = False) -> None:
        """Let the person type a value."""
        variable = build.TextBoxVariable(name).label(self.word(name)).default_value(preset)
        if hidden:
            variable = variable.hide(VariableHide.HIDE_VARIABLE)
        self.builder.with_variable(variable)

    def link(self, key: str, url: str) -> None:
        """Add a link at the top of the board."""
        text = TEXTS[key][self.language]
        self.builder.link(
            build.DashboardLink(text.title)
            .type(DashboardLinkType.LINK)
            .tooltip(text.about)
            .icon("external link")
            .url(url)
            .target_blank(True)
        )

    def mark(self, name: str, expr: str, title: str, colour: str) -> None:
        """Mark the moments that are the values (Unix seconds) of an expression."""
        marks = _ValuesAsTimes(self.word(name), f"({expr}) * 1000", title, colour)
        self.builder.annotation(_Marks(marks))

    # Rows and panels.

    def row(self, key: str, *, repeat: str | None = None) -> None:
        """Begin a row, or one for each value of a variable."""
        row = build.Row(TEXTS[key][self.language].title).id(self._next_id())
        if repeat is not None:
            row = row.repeat(repeat)
        self.builder.with_row(row)

    def add(self, panel: Panel, width: int, height: int) -> None:
        """Add a panel; 24 columns are a whole row."""
        self.builder.with_panel(panel.id(self._next_id()).span(width).height(height))

    def stat(
        self,
        key: str,
        unit: str,
        *queries: Query,
        colour: build.ThresholdsConfig = PLAIN,
        mapping: ValueMapping | None = None,
        decimals: int | None = None,
        since: str | None = None,
        trend: bool = False,
        empty: str = "–",
    ) -> stat.Panel:
        """Return one figure, or a few beside each other, as they are now."""
        panel = self._dressed(stat.Panel(), key, unit)
        instant = (Query(query.expr, query.name, instant=not trend) for query in queries)
        panel = (
            self._asking(panel, instant)
            .thresholds(colour)
            .color_scheme(build.FieldColor().mode(FieldColorModeId.THRESHOLDS))
            .color_mode(BigValueColorMode.VALUE)
            .graph_mode(BigValueGraphMode.AREA if trend else BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .no_value(empty)
        )
        if any(query.name for query in queries):
            panel = panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
        if mapping is not None:
            panel = panel.mappings([mapping])
        if decimals is not None:
            panel = panel.decimals(decimals)
        if since is not None:
            panel = panel.time_from(since).hide_time_override(True)
        return panel

    def graph(
        self,
        key: str,
        unit: str,
        *queries: Query,
        stacked: bool = False,
        lowest: float | None = 0,
        highest: float | None = None,
        decimals: int | None = None,
    ) -> timeseries.Panel:
        """Return lines over time, or areas on top of each other."""
        panel = self._dressed(timeseries.Panel(), key, unit)
        panel = (
            self._asking(panel, queries)
            .color_scheme(build.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
            .line_width(1)
            .fill_opacity(40 if stacked else 0)
            .show_points(VisibilityMode.AUTO)
            .span_nulls(False)
            .tooltip(
                common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
            )
            .legend(
                common.VizLegendOptions()
                .display_mode(LegendDisplayMode.LIST)
                .placement(LegendPlacement.BOTTOM)
                .show_legend(True)
                .calcs([])
            )
        )
        if stacked:
            panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
        if lowest is not None:
            panel = panel.min(lowest)
        if highest is not None:
            panel = panel.max(highest)
        if decimals is not None:
            panel = panel.decimals(decimals)
        return panel

    def changed(
        self, panel: timeseries.Panel, name: str, looks: Iterable[tuple[str, Any]]
    ) -> timeseries.Panel:
        """Let one of the panel's series look otherwise."""
        values = [DynamicConfigValue(id_val=key, value=value) for key, value in looks]
        return panel.override_by_name(self._named(name), values)

    def bars(self, key: str, unit: str, *queries: Query, every: str) -> timeseries.Panel:
        """Return bars on top of each other, each from its begin on, no shorter than `every`."""
        return (
            self.graph(key, unit, *queries, stacked=True)
            .draw_style(GraphDrawStyle.BARS)
            .bar_alignment(BarAlignment.AFTER)
            .fill_opacity(80)
            .interval(every)
            .max_data_points(800)
        )

    def timeline(
        self, key: str, *queries: Query, mapping: ValueMapping, colour: build.ThresholdsConfig
    ) -> statetimeline.Panel:
        """Return a band of states for each series; equal neighbours become one."""
        panel = self._dressed(statetimeline.Panel(), key, "short")
        return (
            self._asking(panel, queries)
            .mappings([mapping])
            .thresholds(colour)
            .color_scheme(build.FieldColor().mode(FieldColorModeId.THRESHOLDS))
            .merge_values(True)
            .interval("1m")
            .max_data_points(200)
            .fill_opacity(80)
        )

    def gauges(
        self, key: str, unit: str, query: Query, *, colour: build.ThresholdsConfig = PLAIN
    ) -> bargauge.Panel:
        """Return a bar for each series, as it is now."""
        panel = self._dressed(bargauge.Panel(), key, unit)
        return (
            self._asking(panel, [Query(query.expr, query.name, instant=True)])
            .thresholds(colour)
            .color_scheme(build.FieldColor().mode(FieldColorModeId.THRESHOLDS))
            .orientation(VizOrientation.HORIZONTAL)
            .display_mode(BarGaugeDisplayMode.BASIC)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .min(0)
        )

    def grid(
        self,
        key: str,
        rows: Sequence[str],
        columns: Sequence[Column],
        *,
        sort: str,
        descending: bool = True,
        most: int | None = None,
        width: int | None = None,
    ) -> table.Panel:
        """Return a table with a row for each set of the labels `rows` that the first figure has.

        A figure that nobody exports leaves its cells empty: hence the join by one label, as
        Grafana's "merge" gives up where one answer is empty.
        """
        panel = self._dressed(table.Panel(), key, "short")
        figures = [column for column in columns if column.expr is not None]
        letters = [chr(ord("A") + place) for place in range(len(figures))]
        for letter, column in zip(letters, figures, strict=True):
            joined = f'label_join({column.expr}, "row", "|", {", ".join(map(_quoted, rows))})'
            if letter != "A":
                joined = f"max by (row) ({joined})"
            panel = panel.with_target(
                prometheus.Dataquery()
                .datasource(SOURCE)
                .expr(joined)
                .format(PromQueryFormat.TABLE)
                .instant()
                .ref_id(letter)
            )
        found = {
            column.name: f"Value #{letter}" if len(figures) > 1 else "Value"
            for letter, column in zip(letters, figures, strict=True)
        }
        fields = [found.get(column.name, column.name) for column in columns]
        steps: list[tuple[str, dict[str, Any]]] = [
            ("filterFieldsByName", {"exclude": {"names": ["Time", "job"]}}),
            ("joinByField", {"byField": "row", "mode": "outer"}),
            (
                "sortBy",
                {"fields": {}, "sort": [{"field": found.get(sort, sort), "desc": descending}]},
            ),
        ]
        if most is not None:
            steps.append(("limit", {"limitField": most}))
        organize = {
            "excludeByName": {"row": True},
            "indexByName": {name: place for place, name in enumerate(fields)},
            "renameByName": {
                name: self.word(column.name) for name, column in zip(fields, columns, strict=True)
            },
        }
        steps.append(("organize", organize))
        panel = panel.transformations(
            [DataTransformerConfig(id_val=name, options=options) for name, options in steps]
        )
        for column in columns:
            panel = panel.override_by_name(self.word(column.name), self._looks(column, width))
        return panel.no_value("–")

    def _looks(self, column: Column, figures_width: int | None) -> list[DynamicConfigValue]:
        """Return how a column of a table looks."""
        looks: dict[str, Any] = {}
        if column.expr is not None:
            looks["unit"] = column.unit
            looks["custom.align"] = "right"
        width = column.width or figures_width
        if width is not None:
            looks["custom.width"] = width
        if column.decimals is not None:
            looks["decimals"] = column.decimals
        if column.colour is not None:
            looks["thresholds"] = column.colour.build()
            looks["color"] = {"mode": "thresholds"}
        if column.mapping is not None:
            looks["mappings"] = [column.mapping]
        if column.colour is not None or column.mapping is not None:
            looks["custom.cellOptions"] = {"type": "color-text"}
        if column.link is not None:
            title = self.word(column.link_name)
            looks["links"] = [{"title": title, "url": column.link, "targetBlank": False}]
        return [DynamicConfigValue(id_val=name, value=value) for name, value in looks.items()]

    def _dressed(self, panel: PanelT, key: str, unit: str) -> PanelT:
        text = TEXTS[key][self.language]
        return panel.title(text.title).description(text.about).unit(unit).datasource(SOURCE)

    def _asking(self, panel: PanelT, queries: Iterable[Query]) -> PanelT:
        for place, query in enumerate(queries):
            target = (
                prometheus.Dataquery()
                .datasource(SOURCE)
                .expr(query.expr)
                .legend_format(self._named(query.name))
                .ref_id(chr(ord("A") + place))
            )
            panel = panel.with_target(target.instant() if query.instant else target.range())
        return panel

    def _named(self, name: str) -> str:
        """Return a series' name in the board's language; templates stay as they are."""
        words, brace, template = name.partition("{{")
        if words:
            words = self.word(words.strip()) + " " * words.endswith(" ")
        return words + brace + template or "__auto"

    def _next_id(self) -> int:
        self._panels += 1
        return self._panels


class _Marks(Builder[AnnotationQuery]):
    """Builds an annotation at moments; it is built already."""

    def __init__(self, marks: AnnotationQuery) -> None:
        self._marks = marks

    def build(self) -> AnnotationQuery:
        """Return the annotation."""
        return self._marks


class _ValuesAsTimes(AnnotationQuery):
    """An annotation whose moments are the values of its query; the SDK lacks Prometheus' keys."""

    def __init__(self, name: str, expr: str, title: str, colour: str) -> None:
        super().__init__(name=name, datasource=SOURCE, enable=True, icon_color=colour, expr=expr)
        self._title = title

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {
            "useValueForTime": True,
            "titleFormat": self._title,
            "step": "60s",
        }
