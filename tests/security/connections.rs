//! Attacks with connections: many, slow, half open, too fast, more than there are descriptors.

use std::process::Command;
use std::time::Duration;

use opcua::types::StatusCode;

use super::raw::frame;
use super::support::{BINARY, wait_for};
use super::target::{ATTACKER, Target, connect_from, keep_on, read_state};

#[tokio::test]
async fn hundreds_of_connections_that_say_nothing() {
    let target = Target::start();
    let mut held = Vec::new();
    for _ in 0..300 {
        held.extend(target.connect().await.ok());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Ten of them are held at most, and those for three seconds.
    let mut told = 0;
    for mut connection in held {
        let end = tokio::time::timeout(Duration::from_secs(10), connection.read_frame()).await;
        told += usize::from(end.unwrap().unwrap_err().status.is_some());
    }
    assert!(told >= 10, "{told} were told why");
    target.stands();
}

#[tokio::test]
async fn connections_that_are_opened_halfway() {
    let target = Target::start();
    let mut held = Vec::new();
    for number in 0..10 {
        let Ok(mut connection) = target.connect().await else { continue };
        match number % 3 {
            0 => connection.write(b"HEL").await,
            1 => connection.write(&frame(b"HELF", &[0; 24])[..20]).await,
            _ => drop(connection.say_hello().await),
        }
        held.push(connection);
    }
    for mut connection in held {
        // HELLO within three seconds, the channel within five more.
        let end = tokio::time::timeout(Duration::from_secs(12), connection.read_frame()).await;
        let status = end.expect("it ends").unwrap_err().status;
        assert!(status.is_none_or(|status| status == StatusCode::BadTimeout), "{status:?}");
    }
    target.stands();
}

#[tokio::test]
async fn a_storm_of_connections_that_come_and_go() {
    let target = Target::start();
    let mut storms = Vec::new();
    for _ in 0..4 {
        let address = target.address;
        storms.push(tokio::spawn(keep_on(3.0, move || async move {
            if let Ok(mut connection) = connect_from(ATTACKER, address).await {
                let _ = connection.say_hello().await;
            }
        })));
    }
    for storm in storms {
        storm.await.unwrap();
    }
    target.stands();
}

#[tokio::test]
async fn more_connections_than_there_are_descriptors() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 96; exec \"$0\" \"$@\"", BINARY]);
    let target = Target::start_in(&mut command, |text| {
        text.replace("[opcua]\n", "[opcua]\nconnections = 100\nconnections_per_address = 100\n")
    });
    let mut held = Vec::new();
    for _ in 0..150 {
        held.extend(target.connect().await.ok());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = target.processor_seconds();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = target.processor_seconds() - before;
    assert!(used < 1.0, "{used} s of processor time in 2 s: it spins");
    drop(held);
    let address = target.address;
    let again = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        wait_for("a connection after the attack", 20, || {
            runtime.block_on(async {
                let mut client = super::raw::Raw::connect(address).await.ok()?;
                client.log_on().await.ok()?;
                let request = read_state(&mut client);
                client.call(request).await.ok()
            })
        })
    });
    again.await.unwrap();
    target.stands();
}

#[tokio::test]
async fn peers_that_break_the_protocol_again_and_again_are_banned_for_a_while() {
    let target = Target::start();
    for _ in 0..5 {
        let mut connection = target.connect().await.unwrap();
        connection.write(b"GET / HTTP/1.1\r\n\r\n").await;
        let told = connection.read_frame().await.unwrap_err().status;
        assert_eq!(told, Some(StatusCode::BadTcpMessageTypeInvalid));
    }
    let mut banned = target.connect().await.unwrap();
    let told = banned.read_frame().await.unwrap_err().status;
    assert_eq!(told, Some(StatusCode::BadConnectionRejected));
    let metrics = target.instance.get("/metrics").body;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("mes_opcua_refusals{reason=\"Protocol\"} 5"), "{metrics}");
    assert!(metrics.contains("mes_opcua_refusals{reason=\"Banned\"} 1"), "{metrics}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    target.stands();
}
