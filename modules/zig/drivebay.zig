//! The format `wasm32-drivebay-1` in Zig.

const std = @import("std");

const heap = std.heap.wasm_allocator;

const host = struct {
    extern "drivebay" fn log(text: [*]const u8, len: usize) void;
};

/// Says one line to the author. Not part of any result.
pub fn log(line: []const u8) void {
    host.log(line.ptr, line.len);
}

/// Exports `alloc` and `handle`; `answer` gets the message and the env and gives the reply, all JSON.
/// The reply has to live until the next call.
pub fn serve(comptime answer: fn (message: []const u8, env: []const u8) []const u8) void {
    const exports = struct {
        fn alloc(len: usize) callconv(.c) ?[*]align(8) u8 {
            const input = heap.alignedAlloc(u8, .@"8", @max(len, 1)) catch return null;
            return input.ptr;
        }

        fn handle(message: [*]align(8) u8, message_len: usize, env: [*]align(8) u8, env_len: usize) callconv(.c) u64 {
            const reply = answer(message[0..message_len], env[0..env_len]);
            heap.free(message[0..@max(message_len, 1)]);
            heap.free(env[0..@max(env_len, 1)]);
            return @as(u64, @intFromPtr(reply.ptr)) << 32 | reply.len;
        }
    };
    @export(&exports.alloc, .{ .name = "alloc" });
    @export(&exports.handle, .{ .name = "handle" });
}
