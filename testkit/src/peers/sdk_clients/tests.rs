use super::*;
use crate::conformance::Fixture;
use crate::peers::available;

#[tokio::test]
async fn every_client_tells_the_same_story_of_an_era() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    let url = fixture.url();
    let Some(legacy) = available(story(Sdk::OlderTypeScript, Era::Legacy, &url).await) else { return };
    let Some(modern) = available(story(Sdk::TypeScript, Era::Modern, &url).await) else { return };
    let others = [
        (Sdk::TypeScript, Era::Legacy, &legacy),
        (Sdk::Python, Era::Legacy, &legacy),
        (Sdk::Python, Era::Modern, &modern),
    ];
    for (sdk, era, expected) in others {
        let Some(told) = available(story(sdk, era, &url).await) else { return };
        assert_eq!(without_lists(&told), without_lists(expected), "{sdk:?} {era:?}");
    }
    assert_ne!(without_lists(&legacy), without_lists(&modern), "an era shows");
}

/// A client may leave out of a list what it does not know.
fn without_lists(story: &[Value]) -> Vec<&Value> {
    story.iter().filter(|step| step["step"] != "list").collect()
}
