//! The stock process in `modules/lua`: handlers, sending, waiting, and code on the fly.

use crate::{reader, roles};
use drivebay_disk::json::Value;
use drivebay_disk::testing::{CallBuilder, MapHost, call};
use drivebay_disk::{Disk, Drive, Image, ImageLimits, NoArtifacts, Output, Ran, Reply};
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("stock: eval changes the process", eval),
        Trial::test("stock: a token", token),
        Trial::test("stock: receive waits over messages and images", receive),
        Trial::test("stock: what nobody takes is in the inbox", inbox),
        Trial::test("stock: whole numbers of 256 bits", numbers),
    ]
}

/// A process of the stock module, sent through its image before each message.
struct Process {
    disk: Arc<dyn Disk>,
    image: Image,
    nonce: u64,
}

impl Process {
    fn new() -> Result<Self, Failed> {
        let folder = roles::root().join("modules/lua");
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "lua") {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                files.push((name, std::fs::read_to_string(path)?));
            }
        }
        let disk = reader().read(&roles::module(drivebay_lua::bundle(files)), &NoArtifacts)?;
        let image = disk.blank().clone();
        Ok(Self { disk, image, nonce: 0 })
    }

    fn send(&mut self, dress: impl FnOnce(CallBuilder) -> CallBuilder) -> Result<Reply, Failed> {
        let mut bytes = Vec::new();
        self.image.write_to(&mut bytes)?;
        let image = Image::read_from(&mut bytes.as_slice(), &ImageLimits::default())?;
        let drive: Box<dyn Drive> = self.disk.clone().mount(&image)?;
        let call = dress(call(self.nonce)).build();
        self.nonce += 1;
        match drive.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
            Ran::Done { mut drive, reply, .. } => {
                self.image = drive.freeze()?.image()?;
                Ok(reply)
            }
            Ran::Faulted { fault, .. } => Err(format!("{:?}: {}", fault.code, fault.note).into()),
            Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
        }
    }

    fn eval(&mut self, code: &str) -> Result<Reply, Failed> {
        self.send(|call| call.tag("Action", "Eval").data(code.to_owned()))
    }

    fn says(&mut self, code: &str, expected: &str) -> Result<(), Failed> {
        let said = said(&self.eval(code)?);
        if said == expected { Ok(()) } else { Err(format!("{code} gives {said:?}").into()) }
    }
}

fn said(reply: &Reply) -> String {
    let Output::Json(output) = &reply.output else { return String::new() };
    let data = output.value();
    data.get("data").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The value of a tag of the n-th message sent.
fn tag(reply: &Reply, n: usize, name: &str) -> Option<String> {
    let message = reply.messages.get(n)?.json.value();
    let tags = message.get("Tags")?.as_array()?.to_vec();
    let found = tags.iter().find(|tag| tag.get("name").and_then(Value::as_str) == Some(name))?;
    Some(found.get("value")?.as_str()?.to_owned())
}

fn eval() -> Result<(), Failed> {
    let mut process = Process::new()?;
    process.says("1 + 1", "2")?;
    process.says("N = (N or 0) + 1 return N", "1")?;
    process.says("N = (N or 0) + 1 return N", "2")?;
    process.says("print('a', {1, x = 2}) return 'b'", "a\t{\n  1,\n  x = 2\n}\nb")?;
    process.says(
        "Handlers.add('hi', 'Hi', function(msg) msg.reply({ Data = 'hello ' .. msg.From }) end)",
        "",
    )?;
    let reply = process.send(|call| call.tag("Action", "Hi").tag("Reference", "7"))?;
    assert_eq!(reply.messages.len(), 1);
    assert_eq!(tag(&reply, 0, "X-Reference").as_deref(), Some("7"));
    assert!(reply.messages[0].json.as_str().contains("hello TestOwner"));
    let other = process.send(|call| {
        call.tag("Action", "Eval").data("N = 0").message(|message| {
            message.owner = "Stranger".into();
            message.from = "Stranger".into();
        })
    })?;
    assert_eq!(said(&other), "");
    process.says("N .. ' ' .. #Inbox", "2 1")
}

/// The usual token: balances of whole numbers, transfers with notices.
const TOKEN: &str = r#"
local bint = require('.bint')(256)
local json = require('json')
Balances = Balances or { [ao.id] = tostring(bint(10000) * 10 ^ 12 // 1) }
Balances[Owner] = '1000000000000000000000'
Handlers.add('balance', Handlers.utils.hasMatchingTag('Action', 'Balance'), function(msg)
  local who = msg.Tags.Recipient or msg.Tags.Target or msg.From
  msg.reply({ Balance = Balances[who] or '0', Account = who, Data = Balances[who] or '0' })
end)
Handlers.add('balances', 'Balances', function(msg) msg.reply({ Data = json.encode(Balances) }) end)
Handlers.add('transfer', Handlers.utils.hasMatchingTag('Action', 'Transfer'), function(msg)
  assert(type(msg.Recipient) == 'string', 'Recipient is required!')
  assert(bint.__lt(0, bint(msg.Quantity)), 'Quantity must be greater than 0')
  Balances[msg.From] = Balances[msg.From] or '0'
  Balances[msg.Recipient] = Balances[msg.Recipient] or '0'
  if bint(msg.Quantity) <= bint(Balances[msg.From]) then
    Balances[msg.From] = tostring(bint(Balances[msg.From]) - bint(msg.Quantity))
    Balances[msg.Recipient] = tostring(bint(Balances[msg.Recipient]) + bint(msg.Quantity))
    Send({ Target = msg.From, Action = 'Debit-Notice', Quantity = msg.Quantity })
    Send({ Target = msg.Recipient, Action = 'Credit-Notice', Quantity = msg.Quantity, ['X-Memo'] = msg['X-Memo'] })
  else
    msg.reply({ Action = 'Transfer-Error', Error = 'Insufficient Balance!' })
  end
end)
"#;

fn token() -> Result<(), Failed> {
    let mut process = Process::new()?;
    process.eval(&TOKEN.replace("tostring(bint(10000) * 10 ^ 12 // 1)", "'5'"))?;
    let transfer = |quantity: &'static str| {
        move |call: CallBuilder| {
            call.tag("Action", "Transfer").tag("Recipient", "Bob").tag("Quantity", quantity)
        }
    };
    let reply = process.send(transfer("123456789012345678901"))?;
    assert_eq!(tag(&reply, 0, "Action").as_deref(), Some("Debit-Notice"));
    assert_eq!(tag(&reply, 1, "Action").as_deref(), Some("Credit-Notice"));
    let reply = process.send(transfer("1000000000000000000000"))?;
    assert_eq!(tag(&reply, 0, "Action").as_deref(), Some("Transfer-Error"));
    let reply = process.send(|call| call.tag("Action", "Balance").tag("Recipient", "Bob"))?;
    assert_eq!(tag(&reply, 0, "Balance").as_deref(), Some("123456789012345678901"));
    let failed = process.send(transfer("-1"));
    assert!(failed.is_err_and(|failed| format!("{failed:?}").contains("greater than 0")));
    process.says("Balances.Bob", "123456789012345678901")
}

fn receive() -> Result<(), Failed> {
    let mut process = Process::new()?;
    process.eval(
        "Handlers.add('ask', 'Ask', function(msg)
           local answers = {}
           for i = 1, 2 do
             local answer = Send({ Target = 'Oracle', Action = 'Price', N = i }).receive()
             answers[#answers + 1] = answer.Data
           end
           msg.reply({ Data = table.concat(answers, ' ') })
         end)",
    )?;
    let first = process.send(|call| call.tag("Action", "Ask"))?;
    let reference = tag(&first, 0, "Reference").ok_or("no reference")?;
    process.says("'others go on'", "others go on")?;
    let second = process.send(|call| call.tag("X-Reference", &reference).data("41"))?;
    let reference = tag(&second, 0, "Reference").ok_or("it does not go on")?;
    let last = process.send(|call| call.tag("X-Reference", &reference).data("42"))?;
    assert!(last.messages[0].json.as_str().contains("41 42"));
    process.says("#Inbox", "0")
}

fn inbox() -> Result<(), Failed> {
    let mut process = Process::new()?;
    process.send(|call| call.data("for nobody").tag("Action", "Unknown"))?;
    process.says("#Inbox .. Inbox[1].Data .. Inbox[1].Action", "1for nobodyUnknown")?;
    let reply = process.eval(
        "Spawn('Module', { Name = 'child' }) Assign({ Message = 'm', Processes = { 'p' } })",
    )?;
    assert_eq!((reply.spawns.len(), reply.assignments.len()), (1, 1));
    Ok(())
}

fn numbers() -> Result<(), Failed> {
    let mut process = Process::new()?;
    process.eval("B = require('.bint')(256)")?;
    for (code, expected) in [
        ("tostring(B('-5') // 3) .. tostring(B(-5) % 3)", "-21"),
        (
            "tostring(B(2) * '340282366920938463463374607431768211456')",
            "680564733841876926926749214863536422912",
        ),
        ("tostring(-B('99999999999999999999'))", "-99999999999999999999"),
        (
            "tostring(B('680564733841876926926749214863536422912') // 7)",
            "97223533405982418132392744980505203273",
        ),
        ("B.tonumber('12') .. tostring(B(1) < B(2)) .. tostring(B(3) == B('3'))", "12truetrue"),
        (
            "tostring(B('115792089237316195423570985008687907853269984665640564039457584007913129639935'))",
            "-1",
        ),
    ] {
        process.says(code, expected)?;
    }
    Ok(())
}
