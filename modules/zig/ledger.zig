//! A counter and a token ledger. The same program in every language: see ../README.md.

const std = @import("std");
const drivebay = @import("drivebay.zig");

const Io = std.Io;

// State: plain variables; the host keeps memory from call to call.
var counter: u64 = 0;
var supply: u64 = 0;
/// Messages sent so far; each is its own anchor.
var sent: u64 = 0;
/// No entry is 0.
var balances: std.StringHashMapUnmanaged(u64) = .empty;

const heap = std.heap.wasm_allocator;

const Tag = struct { name: []const u8, value: []const u8 };
/// What is read of a message. Keys that are not named here are passed over.
const Message = struct { From: []const u8 = "", Tags: []const Tag = &.{} };
const Env = struct { Process: struct { Owner: []const u8 = "" } = .{} };

const Outgoing = struct { Target: []const u8, Anchor: []const u8, Tags: []const Tag, Data: []const u8 = "" };
const Reply = struct { Output: []const u8, Messages: ?[]const Outgoing = null };

/// What a sender did wrong. The text is the error's name, so that there is no table to keep.
const Refused = error{
    @"Only the owner may mint",
    @"Quantity must be a whole number from 1 to 18446744073709551615",
    @"The supply would pass 64 bits",
    @"Recipient is missing",
    @"Insufficient balance",
    @"Failed as asked",
    @"Malformed message",
    OutOfMemory,
};

/// One call: the message, and an arena that goes when it is answered.
const Call = struct {
    arena: std.mem.Allocator,
    from: []const u8,
    tags: []const Tag,
    owner: []const u8,

    /// The last tag of a name counts, as in aos.
    fn tag(call: Call, name: []const u8) []const u8 {
        var at = call.tags.len;
        while (at > 0) {
            at -= 1;
            if (std.mem.eql(u8, call.tags[at].name, name)) return call.tags[at].value;
        }
        return "";
    }

    fn quantity(call: Call) Refused!u64 {
        const digits = call.tag("Quantity");
        // `parseInt` alone would also take signs and underscores.
        for (digits) |digit| if (!std.ascii.isDigit(digit)) return Refused.@"Quantity must be a whole number from 1 to 18446744073709551615";
        const number = std.fmt.parseInt(u64, digits, 10) catch 0;
        if (number == 0) return Refused.@"Quantity must be a whole number from 1 to 18446744073709551615";
        return number;
    }

    fn print(call: Call, comptime format: []const u8, args: anytype) Refused![]const u8 {
        return std.fmt.allocPrint(call.arena, format, args);
    }

    fn say(call: Call, number: u64) Refused!Reply {
        return .{ .Output = try call.print("{d}", .{number}) };
    }
};

fn act(call: Call) Refused!Reply {
    const Action = enum { Inc, Get, Mint, Transfer, Balance, Fail, Crash };
    const action = std.meta.stringToEnum(Action, call.tag("Action")) orelse return .{ .Output = "Nothing to do" };
    switch (action) {
        .Inc => {
            counter += 1;
            return call.say(counter);
        },
        .Get => return call.say(counter),
        .Mint => return mint(call),
        .Transfer => return transfer(call),
        .Balance => {
            const of = call.tag("Recipient");
            return call.say(balance(if (of.len > 0) of else call.from));
        },
        // Both leave a mark first, to show that the host takes it back.
        .Fail => {
            counter += 1;
            return Refused.@"Failed as asked";
        },
        .Crash => {
            counter += 1;
            @panic("crashed as asked");
        },
    }
}

fn mint(call: Call) Refused!Reply {
    if (call.from.len == 0 or !std.mem.eql(u8, call.from, call.owner)) return Refused.@"Only the owner may mint";
    const quantity = try call.quantity();
    supply = std.math.add(u64, supply, quantity) catch return Refused.@"The supply would pass 64 bits";
    // No balance is above the supply, so this sum fits.
    try setBalance(call.from, balance(call.from) + quantity);
    drivebay.log(try call.print("minted {d}", .{quantity}));
    return call.say(balance(call.from));
}

fn transfer(call: Call) Refused!Reply {
    const recipient = call.tag("Recipient");
    if (recipient.len == 0) return Refused.@"Recipient is missing";
    const quantity = try call.quantity();
    const left = std.math.sub(u64, balance(call.from), quantity) catch return Refused.@"Insufficient balance";
    try setBalance(call.from, left);
    try setBalance(recipient, balance(recipient) + quantity);
    var reply = try call.say(balance(call.from));
    reply.Messages = try call.arena.dupe(Outgoing, &.{
        try notice(call, call.from, "Debit-Notice", .{ .name = "Recipient", .value = recipient }, quantity),
        try notice(call, recipient, "Credit-Notice", .{ .name = "Sender", .value = call.from }, quantity),
    });
    return reply;
}

/// A notice of a transfer; `peer` is the other side of it. The unit that sends it adds the tags of
/// the protocol; what is ours is an anchor that no two messages share.
fn notice(call: Call, target: []const u8, action: []const u8, peer: Tag, quantity: u64) Refused!Outgoing {
    sent += 1;
    return .{
        .Target = target,
        .Anchor = try call.print("{d:0>32}", .{sent}),
        .Tags = try call.arena.dupe(Tag, &.{
            .{ .name = "Action", .value = action },
            peer,
            .{ .name = "Quantity", .value = try call.print("{d}", .{quantity}) },
            .{ .name = "Reference", .value = try call.print("{d}", .{sent}) },
        }),
    };
}

fn balance(owner: []const u8) u64 {
    return balances.get(owner) orelse 0;
}

fn setBalance(owner: []const u8, amount: u64) Refused!void {
    if (amount == 0) {
        if (balances.fetchRemove(owner)) |old| heap.free(old.key);
        return;
    }
    const entry = try balances.getOrPut(heap, owner);
    // The call's text goes with the call; what is kept is a copy.
    if (!entry.found_existing) entry.key_ptr.* = try heap.dupe(u8, owner);
    entry.value_ptr.* = amount;
}

fn read(arena: std.mem.Allocator, message: []const u8, env: []const u8) Refused!Call {
    const options: std.json.ParseOptions = .{ .ignore_unknown_fields = true };
    const parsed = std.json.parseFromSliceLeaky(Message, arena, message, options) catch return Refused.@"Malformed message";
    const around = std.json.parseFromSliceLeaky(Env, arena, env, options) catch return Refused.@"Malformed message";
    return .{ .arena = arena, .from = parsed.From, .tags = parsed.Tags, .owner = around.Process.Owner };
}

/// The last reply: the host reads it after `handle` has returned.
var written: Io.Writer.Allocating = .init(heap);

/// One message in, one reply out, both as JSON.
pub fn handle(message: []const u8, env: []const u8) []const u8 {
    var arena: std.heap.ArenaAllocator = .init(heap);
    defer arena.deinit();
    written.clearRetainingCapacity();
    const outcome = if (read(arena.allocator(), message, env)) |call| act(call) else |refused| refused;
    const json: std.json.Stringify.Options = .{ .emit_null_optional_fields = false };
    if (outcome) |reply| {
        std.json.Stringify.value(reply, json, &written.writer) catch @panic("out of memory");
    } else |refused| {
        std.json.Stringify.value(.{ .Error = @errorName(refused) }, json, &written.writer) catch @panic("out of memory");
    }
    return written.written();
}

comptime {
    drivebay.serve(handle);
}
