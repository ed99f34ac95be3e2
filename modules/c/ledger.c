/* A counter and a token ledger. The same program in every language: see ../README.md. */

#include "drivebay.h"
#include "json.h"

/* ---- state: plain variables; the host keeps memory from call to call ---- */

typedef struct {
    text owner;
    uint64_t amount;
} account;

static uint64_t counter, supply, sent;
static account *accounts; /* sorted by owner, none of them empty */
static size_t account_count, account_room;

static out reply;
static void *inputs[2]; /* what `alloc` gave for the call at hand */

static void *grown(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (!new) __builtin_trap();
    return new;
}

/* ---- accounts ---- */

static int text_order(text a, text b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.at, b.at, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where an owner's account is, or would have to be. */
static size_t place_of(text owner) {
    size_t low = 0, high = account_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_order(accounts[middle].owner, owner) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool is_at(size_t place, text owner) {
    return place < account_count && text_is(accounts[place].owner, owner);
}

static uint64_t balance_of(text owner) {
    size_t place = place_of(owner);
    return is_at(place, owner) ? accounts[place].amount : 0;
}

static void insert(size_t place, text owner) {
    if (account_count == account_room) {
        account_room = account_room ? account_room * 2 : 16;
        accounts = grown(accounts, account_room * sizeof *accounts);
    }
    memmove(accounts + place + 1, accounts + place, (account_count - place) * sizeof *accounts);
    char *copy = grown(NULL, owner.len + 1);
    if (owner.len > 0) memcpy(copy, owner.at, owner.len);
    accounts[place] = (account){{copy, owner.len}, 0};
    account_count++;
}

static void remove_at(size_t place) {
    free((char *)accounts[place].owner.at);
    account_count--;
    memmove(accounts + place, accounts + place + 1, (account_count - place) * sizeof *accounts);
}

static void set_balance(text owner, uint64_t amount) {
    size_t place = place_of(owner);
    if (!is_at(place, owner)) {
        if (amount == 0) return;
        insert(place, owner);
    }
    if (amount == 0) remove_at(place);
    else accounts[place].amount = amount;
}

/* ---- input ---- */

typedef struct {
    text from, action, recipient, quantity;
} message;

static void read_tag(json *j, message *m) {
    text name = {0}, value = {0};
    bool named = false, valued = false;
    for (bool more = json_open(j, '{'); more; more = json_more(j, '}')) {
        text key = json_key(j);
        if (text_is(key, TEXT("name"))) name = json_text(j), named = true;
        else if (text_is(key, TEXT("value"))) value = json_text(j), valued = true;
        else json_skip(j);
    }
    if (!named || !valued) j->bad = true;
    /* The last tag of a name counts, as in aos. */
    if (text_is(name, TEXT("Action"))) m->action = value;
    else if (text_is(name, TEXT("Recipient"))) m->recipient = value;
    else if (text_is(name, TEXT("Quantity"))) m->quantity = value;
}

static bool read_message(char *at, size_t len, message *m) {
    json j = {at, at + len, false};
    for (bool more = json_open(&j, '{'); more; more = json_more(&j, '}')) {
        text key = json_key(&j);
        if (text_is(key, TEXT("From"))) m->from = json_text(&j);
        else if (text_is(key, TEXT("Tags")))
            for (bool tag = json_open(&j, '['); tag; tag = json_more(&j, ']')) read_tag(&j, m);
        else json_skip(&j);
    }
    return json_done(&j);
}

static bool read_owner(char *at, size_t len, text *owner) {
    json j = {at, at + len, false};
    for (bool more = json_open(&j, '{'); more; more = json_more(&j, '}')) {
        if (!text_is(json_key(&j), TEXT("Process"))) {
            json_skip(&j);
            continue;
        }
        for (bool inner = json_open(&j, '{'); inner; inner = json_more(&j, '}')) {
            if (text_is(json_key(&j), TEXT("Owner"))) *owner = json_text(&j);
            else json_skip(&j);
        }
    }
    return json_done(&j);
}

/* A whole number from 1 to 2^64 - 1, or 0. */
static uint64_t quantity_of(text digits) {
    uint64_t number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.at[i];
        if (c < '0' || c > '9') return 0;
        if (__builtin_mul_overflow(number, 10, &number)) return 0;
        if (__builtin_add_overflow(number, (uint64_t)(c - '0'), &number)) return 0;
    }
    return number;
}

/* ---- output ---- */

static void say(text output) {
    out_text(&reply, TEXT("{\"Output\":\""));
    out_escaped(&reply, output);
    out_text(&reply, TEXT("\"}"));
}

static void say_number(uint64_t number) {
    out_text(&reply, TEXT("{\"Output\":\""));
    out_number(&reply, number, 0);
    out_text(&reply, TEXT("\"}"));
}

static void fail(text error) {
    reply.len = 0;
    out_text(&reply, TEXT("{\"Error\":\""));
    out_escaped(&reply, error);
    out_text(&reply, TEXT("\"}"));
}

static void put_tag(text name, text value) {
    out_text(&reply, TEXT(",{\"name\":\""));
    out_text(&reply, name);
    out_text(&reply, TEXT("\",\"value\":\""));
    out_escaped(&reply, value);
    out_text(&reply, TEXT("\"}"));
}

/* A notice of a transfer; `peer` is the other side of it. The unit that sends it adds the tags of
 * the protocol; what is ours is an anchor that no two messages share. */
static void put_notice(text target, text action, text role, text peer, uint64_t quantity) {
    sent++;
    out_text(&reply, TEXT("{\"Target\":\""));
    out_escaped(&reply, target);
    out_text(&reply, TEXT("\",\"Anchor\":\""));
    out_number(&reply, sent, 32);
    out_text(&reply, TEXT("\",\"Tags\":[{\"name\":\"Action\",\"value\":\""));
    out_text(&reply, action);
    out_text(&reply, TEXT("\"}"));
    put_tag(role, peer);
    out_text(&reply, TEXT(",{\"name\":\"Quantity\",\"value\":\""));
    out_number(&reply, quantity, 0);
    out_text(&reply, TEXT("\"},{\"name\":\"Reference\",\"value\":\""));
    out_number(&reply, sent, 0);
    out_text(&reply, TEXT("\"}],\"Data\":\"\"}"));
}

/* ---- actions ---- */

static const text no_quantity = TEXT("Quantity must be a whole number from 1 to 18446744073709551615");

static void log_mint(uint64_t quantity) {
    out line = {0};
    out_text(&line, TEXT("minted "));
    out_number(&line, quantity, 0);
    drivebay_log(line.at, line.len);
    free(line.at);
}

static void mint(message *m, text owner) {
    uint64_t quantity = quantity_of(m->quantity), more;
    if (m->from.len == 0 || !text_is(m->from, owner)) return fail(TEXT("Only the owner may mint"));
    if (quantity == 0) return fail(no_quantity);
    if (__builtin_add_overflow(supply, quantity, &more)) return fail(TEXT("The supply would pass 64 bits"));
    supply = more;
    /* No balance is above the supply, so this sum fits. */
    set_balance(m->from, balance_of(m->from) + quantity);
    log_mint(quantity);
    say_number(balance_of(m->from));
}

static void transfer(message *m) {
    uint64_t quantity = quantity_of(m->quantity), have = balance_of(m->from);
    if (m->recipient.len == 0) return fail(TEXT("Recipient is missing"));
    if (quantity == 0) return fail(no_quantity);
    if (have < quantity) return fail(TEXT("Insufficient balance"));
    set_balance(m->from, have - quantity);
    set_balance(m->recipient, balance_of(m->recipient) + quantity);
    out_text(&reply, TEXT("{\"Output\":\""));
    out_number(&reply, balance_of(m->from), 0);
    out_text(&reply, TEXT("\",\"Messages\":["));
    put_notice(m->from, TEXT("Debit-Notice"), TEXT("Recipient"), m->recipient, quantity);
    out_text(&reply, TEXT(","));
    put_notice(m->recipient, TEXT("Credit-Notice"), TEXT("Sender"), m->from, quantity);
    out_text(&reply, TEXT("]}"));
}

static void act(message *m, text owner) {
    text action = m->action;
    if (text_is(action, TEXT("Inc"))) return say_number(++counter);
    if (text_is(action, TEXT("Get"))) return say_number(counter);
    if (text_is(action, TEXT("Mint"))) return mint(m, owner);
    if (text_is(action, TEXT("Transfer"))) return transfer(m);
    if (text_is(action, TEXT("Balance"))) return say_number(balance_of(m->recipient.len ? m->recipient : m->from));
    /* Both leave a mark first, to show that the host takes it back. */
    if (text_is(action, TEXT("Fail"))) counter++, fail(TEXT("Failed as asked"));
    else if (text_is(action, TEXT("Crash"))) counter++, __builtin_trap();
    else say(TEXT("Nothing to do"));
}

/* ---- the format ---- */

DRIVEBAY_EXPORT("alloc") void *drivebay_alloc(size_t len) {
    void *input = malloc(len ? len : 1);
    for (size_t i = 0; i < 2; i++)
        if (!inputs[i]) return inputs[i] = input;
    return NULL; /* the format asks for two inputs a call */
}

DRIVEBAY_EXPORT("handle")
uint64_t drivebay_handle(char *msg, size_t msg_len, char *env, size_t env_len) {
    message m = {0};
    text owner = {0};
    reply.len = 0;
    if (read_message(msg, msg_len, &m) && read_owner(env, env_len, &owner)) act(&m, owner);
    else fail(TEXT("Malformed message"));
    for (size_t i = 0; i < 2; i++) free(inputs[i]), inputs[i] = NULL;
    return drivebay_reply(reply.at, reply.len);
}
