use crate::config::{Config, Environment, Overrides, load_text};

const WRITTEN: &str = "telemetry: { otlp: { endpoint: 'http://collector.example:4318', sample: 0.25 } }";

fn read(written: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = Environment::of(environment);
    let read = load_text(written, "tollgate.yaml".to_owned(), &environment, &Overrides::default(), None);
    read.map_err(|problems| problems.to_string())
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_binary_that_cannot_send_refuses_its_file_and_only_notes_what_is_set_for_the_whole_machine() {
    let refused = read(WRITTEN, &[]).unwrap_err();
    assert!(refused.contains("telemetry.otlp (") && refused.contains("--features otel"), "{refused}");
    let machine = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")];
    let noted = read("{}", &machine).unwrap();
    assert!(noted.otlp.is_none());
    let notices: Vec<&String> = noted.notices.iter().filter(|notice| notice.contains("OTEL_")).collect();
    assert!(notices.len() == 1 && notices[0].contains("--features otel"), "{notices:?}");
    assert!(read("{}", &[]).unwrap().notices.iter().all(|notice| !notice.contains("OTEL_")), "control");
}

#[cfg(feature = "otel")]
mod built_in {
    use super::{WRITTEN, read};
    use crate::config::Otlp;

    fn otlp(written: &str, environment: &[(&str, &str)]) -> Result<Option<Otlp>, String> {
        read(written, environment).map(|config| config.otlp)
    }

    fn traces(otlp: &Otlp) -> String {
        otlp.traces.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn nothing_is_sent_before_a_collector_is_named() {
        assert_eq!(otlp("{}", &[]).unwrap(), None);
        assert_eq!(otlp("{}", &[("OTEL_SERVICE_NAME", "x")]).unwrap(), None);
        let written = otlp(WRITTEN, &[]).unwrap().unwrap();
        assert_eq!(traces(&written), "http://collector.example:4318/v1/traces");
        assert_eq!(written.metrics.unwrap(), "http://collector.example:4318/v1/metrics");
        assert_eq!((written.sampling.share.get(), written.sampling.by_parent), (2_500, true));
        assert_eq!((written.service.as_str(), written.callers), ("tollgate", false));
        let disabled = otlp(WRITTEN, &[("OTEL_SDK_DISABLED", "true")]).unwrap();
        assert_eq!(disabled, None);
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let named = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other.example:4318/base/"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example/in?to=here"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b, authorization=Bearer%20t"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("OTEL_SERVICE_NAME", "gate"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "250"),
        ];
        let read = otlp(WRITTEN, &named).unwrap().unwrap();
        assert_eq!(traces(&read), "http://other.example:4318/base/v1/traces");
        assert_eq!(read.metrics.clone().unwrap(), "https://metrics.example/in?to=here", "as it is written");
        let headers: Vec<(&str, &str)> =
            read.headers.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("x-tenant", "a b"), ("authorization", "Bearer t")]);
        assert_eq!((read.timeout_ms, read.metrics_ms, read.spans_max, read.batch_max), (1_500, 250, 16, 16));
        assert_eq!((read.sampling.share.get(), read.sampling.by_parent), (5_000, false));
        assert_eq!(read.service, "gate");
        assert_eq!(read.resource.len(), 2);
        assert!(!format!("{read:?}").contains("Bearer"), "a credential is in no log");
        let off = otlp(WRITTEN, &[("OTEL_TRACES_EXPORTER", "none")]).unwrap().unwrap();
        assert!(off.traces.is_none() && off.metrics.is_some());
    }

    #[test]
    fn what_cannot_be_is_refused_where_it_stands() {
        for (written, environment, place) in [
            ("telemetry: { otlp: {} }", None, "telemetry.otlp.endpoint"),
            ("telemetry: { otlp: { endpoint: collector } }", None, "telemetry.otlp.endpoint"),
            ("telemetry: { otlp: { endpoint: 'http://c.example/?a=b' } }", None, "telemetry.otlp.endpoint"),
            (
                "telemetry: { otlp: { endpoint: 'http://c.example', sample: 2 } }",
                None,
                "telemetry.otlp.sample",
            ),
            (
                "telemetry: { otlp: { endpoint: 'http://c.example', headers: { 'a b': c } } }",
                None,
                "telemetry.otlp.headers",
            ),
            (
                "telemetry: { otlp: { endpoint: 'http://c.example', spans_max: 0 } }",
                None,
                "telemetry.otlp.spans_max",
            ),
            (WRITTEN, Some(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")), "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (WRITTEN, Some(("OTEL_TRACES_SAMPLER", "jaeger_remote")), "OTEL_TRACES_SAMPLER"),
            (WRITTEN, Some(("OTEL_EXPORTER_OTLP_HEADERS", "a")), "OTEL_EXPORTER_OTLP_HEADERS"),
            (WRITTEN, Some(("OTEL_EXPORTER_OTLP_HEADERS", "a=%4")), "OTEL_EXPORTER_OTLP_HEADERS"),
            (WRITTEN, Some(("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")), "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ] {
            let environment: Vec<(&str, &str)> = environment.into_iter().collect();
            let refused = otlp(written, &environment).unwrap_err();
            assert!(refused.contains(&format!("  {place} (")), "{refused}");
        }
        assert!(otlp(WRITTEN, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).is_ok(), "control");
    }
}
