//! The book in a real browser: headless Chromium, driven by ChromeDriver.
//!
//! They are not part of a plain `cargo test`, since not everybody has a browser:
//! `cargo test -p epoll-lab-book -- --ignored`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::{TimeoutConfiguration, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::english;
use crate::server::served;

const WHY: &str = "needs chromium and chromedriver";
const THEMES: [&str; 5] = ["light", "rust", "coal", "navy", "ayu"];

/// A driver, ended with the test.
struct Driver {
    process: Child,
    port: u16,
    /// What the browser keeps.
    profile: TempDir,
}

impl Driver {
    fn start() -> Driver {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{WHY}: {error}"));
        let stdout = process.stdout.take().expect("a pipe");
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .next();
        Driver {
            process,
            port: port.expect("it says its port"),
            profile: TempDir::new().expect("a folder"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It ends its browsers too, which a signal would leave behind: those of a test that failed still run.
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = stream.read(&mut [0; 256]);
        } else {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// A window of a size.
async fn window(driver: &Driver, width: u32, height: u32) -> Client {
    let size = format!("--window-size={width},{height}");
    let profile = format!("--user-data-dir={}", driver.profile.path().display());
    let capabilities = json!({
        "goog:chromeOptions": {
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", size, profile,
            ],
            "mobileEmulation": if width < 500 { json!({"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2.0}}) } else { Value::Null },
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    let Value::Object(mut capabilities) = capabilities else {
        unreachable!("it is one");
    };
    if let Some(Value::Object(options)) = capabilities.get_mut("goog:chromeOptions") {
        options.retain(|_, value| !value.is_null());
    }
    let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{}", driver.port))
        .await
        .expect("a browser");
    let patience = Some(Duration::from_secs(120));
    let timeouts = TimeoutConfiguration::new(patience, patience, None);
    client.update_timeouts(timeouts).await.expect("timeouts");
    client
}

/// A command that WebDriver does not have, but ChromeDriver has.
#[derive(Debug)]
struct Chrome {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Chrome {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// Entries of a log since it was last asked for.
async fn log(client: &Client, kind: &str) -> Vec<Value> {
    let path = "se/log";
    let body = json!({"type": kind});
    let entries = client
        .issue_cmd(Chrome { path, body })
        .await
        .expect("a log");
    entries.as_array().cloned().unwrap_or_default()
}

async fn devtools(client: &Client, command: &str, parameters: Value) -> Value {
    let path = "goog/cdp/execute";
    let body = json!({"cmd": command, "params": parameters});
    client
        .issue_cmd(Chrome { path, body })
        .await
        .expect("it obeys")
}

async fn script(client: &Client, script: &str) -> Value {
    client
        .execute(script, Vec::new())
        .await
        .unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Nothing was complained about, and nothing asked of another host.
async fn quiet(client: &Client, server: &str) {
    let complaints = log(client, "browser").await;
    assert!(complaints.is_empty(), "{complaints:?}");
    for entry in log(client, "performance").await {
        let message: Value =
            serde_json::from_str(entry["message"].as_str().unwrap_or_default()).expect("JSON");
        let message = &message["message"];
        if message["method"] == "Network.requestWillBeSent" {
            let url = message["params"]["request"]["url"]
                .as_str()
                .unwrap_or_default();
            // What the browser shows before the first page is its own, and chrome://.
            let own = url.starts_with(server) || !url.starts_with("http");
            assert!(own, "{url} was asked for");
        }
    }
}

/// The addresses of all pages for readers.
fn chapters(server: &str) -> Vec<String> {
    let chapters = crate::chapters::chapters();
    let pages = chapters.iter().map(|(path, _)| path.with_extension("html"));
    let pages = pages.map(|page| format!("{server}/{}", page.display()));
    std::iter::once(format!("{server}/index.html"))
        .chain(pages)
        .collect()
}

/// A test in a window.
fn with_window(width: u32, height: u32, test: impl AsyncFnOnce(&Client, &str)) {
    let server = format!("http://{}", served(english()));
    let driver = Driver::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = window(&driver, width, height).await;
        test(&client, &server).await;
        client.close().await.expect("it closes");
    });
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_page_is_quiet_in_every_theme_and_readable() {
    with_window(1200, 900, async |client, server| {
        for chapter in chapters(server) {
            for theme in THEMES {
                client.goto(&chapter).await.expect("a page");
                script(
                    client,
                    &format!("localStorage.setItem('mdbook-theme', '{theme}')"),
                )
                .await;
                client.refresh().await.expect("the page again");
                let class = script(client, "return document.documentElement.className").await;
                assert!(
                    class.as_str().is_some_and(|it| it.contains(theme)),
                    "{class}"
                );
                let poor = script(client, CONTRAST).await;
                assert_eq!(poor, json!([]), "{chapter} in {theme}");
            }
            quiet(client, server).await;
        }
    });
}

/// Texts of ours that do not stand out from what is behind them: WCAG's ratio is below 4.5.
const CONTRAST: &str = r#"
const parse = text => {
    const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    c.canvas.width = c.canvas.height = 1;
    c.fillStyle = text;
    c.fillRect(0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const behind = element => {
    for (let e = element; e; e = e.parentElement) {
        const colour = getComputedStyle(e).backgroundColor;
        if (parse(colour)[3] === 255) return parse(colour);
    }
    return [255, 255, 255, 255];
};
const poor = [];
for (const e of document.querySelectorAll('.lab-call, .lab-so, .lab-provenance, .lab-plain, .lab-title, .lab-how, .lab-predict summary, .lab-right b, .lab-wrong b, td.lab-no')) {
    const back = behind(e);
    let opacity = 1;
    for (let up = e; up; up = up.parentElement) opacity *= parseFloat(getComputedStyle(up).opacity);
    const fore = parse(getComputedStyle(e).color).map((v, i) => v * opacity + back[i] * (1 - opacity));
    const [a, b] = [light(fore), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(e.className + ' ' + ratio.toFixed(2));
}
return [...new Set(poor)];
"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn nothing_is_wider_than_a_phone() {
    with_window(360, 740, async |client, server| {
        for chapter in chapters(server) {
            client.goto(&chapter).await.expect("a page");
            let width = script(
                client,
                "return [document.documentElement.scrollWidth, innerWidth]",
            )
            .await;
            let [content, window] = [&width[0], &width[1]].map(|it| it.as_u64().expect("a width"));
            assert!(content <= window, "{chapter}: {content} of {window}");
            let small = script(client, "return [...document.querySelectorAll('.lab-predict summary')].filter(e => e.getBoundingClientRect().height < 44 && e.offsetParent).length").await;
            assert_eq!(small, json!(0), "{chapter}: a finger misses it");
            quiet(client, server).await;
        }
    });
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn figures_step_to_the_end_and_back() {
    with_window(1200, 900, async |client, server| {
        let mut figures = 0;
        for chapter in chapters(server) {
            client.goto(&chapter).await.expect("a page");
            let count = script(
                client,
                "return document.querySelectorAll('.lab-figure[data-last]').length",
            )
            .await;
            for figure in 0..count.as_u64().expect("a number") {
                figures += 1;
                let seen = script(client, &format!("const figure = document.querySelectorAll('.lab-figure[data-last]')[{figure}];{STEPPING}")).await;
                assert_eq!(seen["wrong"], json!([]), "{chapter}: figure {figure}");
                assert!(
                    seen["steps"].as_u64().is_some_and(|steps| steps > 2),
                    "{seen}"
                );
            }
            quiet(client, server).await;
        }
        assert!(figures > 0);
    });
}

/// Walks through a figure by its buttons, forward and back, and asks that each step has its own words.
const STEPPING: &str = r#"
const wrong = [];
const at = () => Number(figure.dataset.step);
const last = Number(figure.dataset.last);
const press = name => figure.querySelector(name).click();
press('.lab-first');
const first = at();
const told = [];
let steps = 0;
for (let step = first; step < last; step++) {
    press('.lab-next');
    steps++;
    if (at() !== step + 1) wrong.push(`next led to ${at()} from ${step}`);
    told.push(figure.querySelector('.lab-live').textContent.trim());
}
if (told.some(text => !text)) wrong.push('a step says nothing');
press('.lab-next');
if (at() !== last) wrong.push('there is something behind the end');
for (let step = last; step > first; step--) {
    press('.lab-back');
    if (at() !== step - 1) wrong.push(`back led to ${at()} from ${step}`);
}
press('.lab-end');
if (at() !== last) wrong.push('the end is not the end');
return {wrong, steps};
"#;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn keys_step_a_figure_and_do_not_turn_the_page() {
    with_window(1200, 900, async |client, server| {
        client
            .goto(&format!("{server}/start/tour.html"))
            .await
            .expect("the tour");
        let figure = client
            .find(Locator::Css(".lab-figure[data-last]"))
            .await
            .expect("a figure");
        script(client, "document.querySelector('.lab-figure .lab-first').click(); document.querySelector('.lab-figure .lab-next').focus()").await;
        let step = async || {
            figure
                .attr("data-step")
                .await
                .expect("an attribute")
                .expect("a step")
        };
        let before: u32 = step().await.parse().expect("a number");
        let active = client
            .active_element()
            .await
            .expect("something has the focus");
        active.send_keys("\u{e014}").await.expect("a key");
        assert_eq!(step().await, (before + 1).to_string());
        active.send_keys("\u{e012}").await.expect("a key");
        assert_eq!(step().await, before.to_string());
        let url = client.current_url().await.expect("an address");
        assert!(url.as_str().contains("/start/tour.html"), "{url}");
    });
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_choice_tells_why_and_the_right_one_reveals() {
    with_window(1200, 900, async |client, server| {
        client
            .goto(&format!("{server}/start/tour.html"))
            .await
            .expect("the tour");
        let open = async |selector: &str| {
            script(
                client,
                &format!("return document.querySelector('.lab-predict {selector}').open"),
            )
            .await
        };
        assert_eq!(open(".lab-reveal").await, json!(false));
        let wrong = client
            .find(Locator::Css(".lab-wrong summary"))
            .await
            .expect("a choice");
        wrong.click().await.expect("it can be chosen");
        assert_eq!(open(".lab-wrong").await, json!(true));
        assert_eq!(open(".lab-reveal").await, json!(false));
        let right = client
            .find(Locator::Css(".lab-right summary"))
            .await
            .expect("a choice");
        right.click().await.expect("it can be chosen");
        // The event comes when the page is drawn.
        let revealed = client.wait().at_most(Duration::from_secs(60));
        revealed
            .for_element(Locator::Css(".lab-predict .lab-reveal[open]"))
            .await
            .expect("it opens");
        assert_eq!(open(".lab-wrong").await, json!(false));
    });
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn print_shows_everything_and_moves_nothing() {
    with_window(1200, 900, async |client, server| {
        client
            .goto(&format!("{server}/print.html"))
            .await
            .expect("all chapters");
        devtools(
            client,
            "Emulation.setEmulatedMedia",
            json!({"media": "print"}),
        )
        .await;
        let empty = script(client, r#"
            const high = e => e.getBoundingClientRect().height;
            return [...document.querySelectorAll('.lab-figure, .lab-choice p, .lab-reveal .lab-transcript')].filter(e => high(e) < 5).map(e => e.id || e.className);
        "#).await;
        assert_eq!(empty, json!([]));
        let pictures = script(client, "return [...document.querySelectorAll('.lab-figure svg')].filter(e => e.getBoundingClientRect().height > 20).length").await;
        assert!(
            pictures.as_u64().is_some_and(|pictures| pictures > 3),
            "{pictures}"
        );
        quiet(client, server).await;
    });
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_step_is_drawn_within_a_frame() {
    with_window(1200, 900, async |client, server| {
        client
            .goto(&format!("{server}/start/tour.html"))
            .await
            .expect("the tour");
        let longest = script(
            client,
            r#"
            const figure = document.querySelector('.lab-figure[data-last]');
            figure.querySelector('.lab-first').click();
            const next = figure.querySelector('.lab-next');
            const times = [];
            for (let step = 0; step < Number(figure.dataset.last); step++) {
                const before = performance.now();
                next.click();
                figure.getBoundingClientRect();
                times.push(performance.now() - before);
            }
            return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
        "#,
        )
        .await;
        println!("a step takes {longest} ms");
        assert!(longest.is_number());
    });
}
