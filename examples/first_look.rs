//! A first look: one eventfd, watched level-triggered by one epoll and edge-triggered by another.
//!
//!     cargo run --example first_look

use epoll_lab::abi::{EpollEvent, Errno, EventMask, OpenFlags};
use epoll_lab::backend::{Backend, LabError, Thread};
use epoll_lab::model::Model;

fn main() -> Result<(), LabError> {
    story(&mut Model::new()).expect("each call of the story succeeds");
    #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
    story(&mut epoll_lab::kernel::Linux::new()?).expect("each call of the story succeeds");
    Ok(())
}

// ANCHOR: story
fn story(kernel: &mut impl Backend) -> Result<(), Errno> {
    println!("{}:", kernel.name());
    let mut t = Thread::main(kernel);
    let file = t.eventfd2(0, OpenFlags::NONBLOCK)?;
    let level = t.epoll_create1(Default::default())?;
    let edge = t.epoll_create1(Default::default())?;
    t.epoll_add(level, file, EpollEvent::new(EventMask::IN, 1))?;
    t.epoll_add(
        edge,
        file,
        EpollEvent::new(EventMask::IN | EventMask::ET, 1),
    )?;

    let look = |t: &mut Thread<'_, _>, when: &str| -> Result<(), Errno> {
        let by_level = t.epoll_wait(level, 8, 0)?.len();
        let by_edge = t.epoll_wait(edge, 8, 0)?.len();
        println!("  {when:22} level-triggered {by_level}, edge-triggered {by_edge}");
        Ok(())
    };
    look(&mut t, "nothing written")?;
    t.write(file, &1_u64.to_ne_bytes())?;
    look(&mut t, "written")?;
    look(&mut t, "still there")?;
    t.write(file, &1_u64.to_ne_bytes())?;
    look(&mut t, "written again, unread")?;
    t.read(file, 8)?;
    look(&mut t, "read")
}
// ANCHOR_END: story
