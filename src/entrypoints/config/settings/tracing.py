"""Traces: OpenTelemetry's standard variables, as far as we read them ourselves; its SDK reads the others."""

# ruff: noqa: RUF009  # a field is declared by a call

from enum import StrEnum

from attrs import frozen

from entrypoints.config import parsing
from entrypoints.config.secret import Secret
from entrypoints.config.settings.variable import variable


class TracesExporter(StrEnum):
    OTLP = "otlp"
    CONSOLE = "console"
    NONE = "none"


class OtlpProtocol(StrEnum):
    HTTP = "http/protobuf"


class Sampler(StrEnum):
    """As the specification names them (OpenTelemetry, "SDK environment variables")."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_OR_ON = "parentbased_always_on"
    PARENT_OR_OFF = "parentbased_always_off"
    PARENT_OR_RATIO = "parentbased_traceidratio"


@frozen
class TracingSettings:
    # fmt: off
    otel_exporter_otlp_endpoint: str | None = variable(parsing.http_url,
        "The OpenTelemetry collector that receives traces, by OTLP over HTTP. Unset: no traces.",
        example="http://localhost:4318")
    otel_traces_exporter: TracesExporter | None = variable(parsing.one_of(TracesExporter),
        f"{', '.join(TracesExporter)}; otlp when there is an endpoint.", example="otlp")
    otel_exporter_otlp_protocol: OtlpProtocol = variable(parsing.one_of(OtlpProtocol),
        "The protocol; gRPC is not supported.", example="http/protobuf", default=OtlpProtocol.HTTP)
    otel_exporter_otlp_headers: Secret[str] | None = variable(parsing.secret(parsing.line),
        "Headers of each export, name=value, comma-separated: usually the collector's API key.",
        example="api-key=secret", in_file=True)
    otel_service_name: str | None = variable(parsing.line,
        "Name of the process in traces; auth-service or auth-service-relay by default.", example="auth-service")
    otel_traces_sampler: Sampler = variable(parsing.one_of(Sampler),
        f"Which requests: {', '.join(Sampler)}.", example="parentbased_traceidratio", default=Sampler.PARENT_OR_ON)
    otel_traces_sampler_arg: float | None = variable(parsing.number(1), "With a ratio: from 0 to 1.", example="0.05")
    otel_sdk_disabled: bool = variable(parsing.true_or_false,
        "true switches traces off, whatever else is set.", example="true", default=False)
    # fmt: on

    @property
    def exporter(self) -> TracesExporter | None:
        """Return where traces go; `None` when there are none."""
        if self.otel_sdk_disabled or self.otel_traces_exporter is TracesExporter.NONE:
            return None
        return self.otel_traces_exporter or (TracesExporter.OTLP if self.otel_exporter_otlp_endpoint else None)
