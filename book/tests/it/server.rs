//! The server: what it gives out, and what it does not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use epoll_lab_book::{Lab, serve};

use crate::{OneChapter, english};

/// A server of a folder, for as long as the tests run.
pub(crate) fn served(pages: &Path) -> SocketAddr {
    let pages = pages.to_path_buf();
    let (sender, address) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .expect("a port");
            let address = listener.local_addr().expect("an address");
            sender.send(address).expect("somebody waits");
            let (built, _) = tokio::sync::broadcast::channel(1);
            axum::serve(listener, serve::pages_of(&pages, built))
                .await
                .expect("it serves");
        });
    });
    address.recv().expect("an address")
}

/// Status, head and body of an answer; nothing if there is none.
fn ask(server: SocketAddr, path: &str) -> Option<(u16, String, Vec<u8>)> {
    let mut stream = TcpStream::connect(server).expect("it listens");
    let bound = Some(Duration::from_secs(60));
    stream.set_read_timeout(bound).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head, answer[end + 4..].to_vec()))
}

#[test]
fn pages_have_their_types_and_are_not_kept() {
    let server = served(english());
    let (_, _, index) = ask(server, "/").expect("an answer");
    let index = String::from_utf8(index).expect("text");
    let linked = |suffix: &str| {
        let end = index.find(&format!("{suffix}\"")).expect("it is linked") + suffix.len();
        let start = index[..end].rfind('"').expect("in quotes") + 1;
        format!("/{}", &index[start..end])
    };
    for (path, kind) in [
        ("/".to_owned(), "text/html"),
        ("/index.html?version=2".to_owned(), "text/html"),
        (linked(".css"), "text/css"),
        (linked(".js"), "text/javascript"),
        (linked(".svg"), "image/svg+xml"),
        (linked(".png"), "image/png"),
    ] {
        let (status, head, body) = ask(server, &path).expect("an answer");
        assert_eq!(status, 200, "{path}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{path}: {head}"
        );
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
        assert!(!body.is_empty(), "{path}");
    }
}

#[test]
fn no_path_leads_out_and_none_ends_the_server() {
    let server = served(english());
    let long = format!("/{}", "a/".repeat(20_000));
    let name = format!("/{}", "a".repeat(300));
    let deep = format!("/{}etc/passwd", "../".repeat(40));
    for path in [
        "/nowhere",
        "/../Cargo.toml",
        "/../../../../../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/\\..\\..\\etc\\passwd",
        "/%00",
        "/%",
        "/%ff%fe",
        "/\u{e9}",
        "/index.html/",
        "/index.html/x",
        "/?%00",
        "*",
        "x",
        "",
        "http://elsewhere/etc/passwd",
        &deep,
        &long,
        &name,
    ] {
        if let Some((status, _, body)) = ask(server, path) {
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("root:x:0"), "{path} leads out");
            assert!(!text.contains("[package]"), "{path} leads out");
            assert!(status < 500, "{path:.200}: {status}");
        }
    }
    assert_eq!(ask(server, "/").expect("it is still there").0, 200);
    let (status, _, body) = ask(server, "/nowhere").expect("an answer");
    assert_eq!(status, 404);
    assert!(String::from_utf8_lossy(&body).contains("<title>"));
}

#[test]
fn a_change_is_built_and_a_mistake_leaves_the_old_pages() {
    let book = OneChapter::new("# One\n\nfirst\n");
    let (sender, address) = channel();
    let site = book.site(Lab::default());
    thread::spawn(move || serve::serve(site, 0, |address| sender.send(address).expect("waits")));
    let server = address.recv().expect("it is built and served");
    assert!(server.ip().is_loopback());
    let page = || {
        let (_, _, body) = ask(server, "/one.html").expect("an answer");
        String::from_utf8(body).expect("text")
    };
    assert!(page().contains("first"));
    assert!(page().contains("__livereload"));

    let shows = |text: &str| {
        // Long enough for any machine; on most it is a blink.
        let patience = Instant::now() + Duration::from_secs(120);
        while !page().contains(text) {
            assert!(Instant::now() < patience, "the page never said {text}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    book.write("src/one.md", "# One\n\nsecond\n");
    shows("second");
    book.write("src/one.md", "```lab nonsense\n```\n");
    book.write("src/SUMMARY.md", "- [Uno](one.md)\n");
    // Still, or again: a build before the mistake may be replacing the pages right now.
    shows("second");
    book.write("src/one.md", "# One\n\nthird\n");
    shows("third");
}
