/* What work costs, in fuel: an instruction is 1, and library work is paid for before it is done. This file is part of
** the rules: a change of it is another format. "_BYTES" and "_TEXT" are bytes for one fuel, "_ITEMS" items for one. */
#ifndef dbay_costs_h
#define dbay_costs_h

/* calls */
#define COST_C_CALL 4          /* of a function that is not Lua */
#define COST_OPEN_VARIABLE 2   /* each local variable that a new function shares; it is looked for */
#define COST_INDEX_LINK 2      /* each further link of __index and __newindex */
#define COST_YIELD_FRAME 1     /* each frame that is parked */
#define COST_RESUME_SLOTS 4    /* of the stack of a coroutine that goes on: the collector looks at them again */
#define COST_VARARG_ITEMS 8    /* arguments and results, moved */
#define COST_TRACEBACK 200

/* memory */
#define COST_OBJECT 1          /* a new object, and */
#define COST_OBJECT_BYTES 32
#define COST_THREAD 40         /* a coroutine */
#define COST_TABLE_BYTES 32    /* room in a table */
#define COST_STACK_BYTES 16    /* room on a stack */
#define COST_CENSUS_BYTES 8    /* counting what is live */
#define COST_SOURCE 8          /* each byte of source that is compiled */

/* tables */
#define COST_GETI 1            /* an element, by a library function */
#define COST_NEXT 2
#define COST_LENGTH 1
#define COST_REHASH_NODE 3
#define COST_REHASH_ITEMS 4    /* of the array part */
#define COST_HOPS 8            /* each 16 hops along a chain of collisions, and each step of a search for a border */
#define COST_CONSTRUCTOR 1     /* each element that a constructor puts down at once */

/* texts */
#define COST_SHORT_TEXT 12     /* made, or found to be there: a walk through memory either way */
#define COST_COMPARE_TEXT 16
#define COST_EQUAL_TEXT 64
#define COST_NUMERAL 4         /* read from a text, and */
#define COST_NUMERAL_TEXT 4
#define COST_TO_NUMBER_TEXT 8  /* with a base */
#define COST_INTEGER_TO_TEXT 4
#define COST_FLOAT_TO_TEXT 20
#define COST_BYTE 1            /* each, of string.byte and utf8.codepoint */
#define COST_REP 1             /* each copy, besides its bytes */
#define COST_QUOTED 4          /* each byte of %q */
#define COST_CONVERSION 8      /* each of string.format */
#define COST_FORMAT_FLOAT 40
#define COST_FORMAT_WIDE_FLOAT 400  /* over 1e20, or under 1e-20 */
#define COST_PACK_OPTION 2
#define COST_FIND_TEXT 32      /* of a plain search: what is compared, and */
#define COST_FIND_SKIP 64      /* what is skipped */
#define COST_UTF8_ITEMS 2
#define COST_UTF8_OFFSET_TEXT 4

/* patterns */
#define COST_MATCH 1           /* each item that is tried, and */
#define COST_CLASS_TEXT 4      /* its class */
#define COST_REPEATED 16       /* each 64 repetitions, and for each byte of the class */
#define COST_BALANCE 8         /* each 64 bytes */
#define COST_BACKREF_TEXT 32

/* numbers */
#define COST_REMAINDER_BITS 32 /* of the quotient of floats */

/* JSON, digests, time, the host */
#define COST_JSON_VALUE 2
#define COST_JSON_TEXT 4
#define COST_JSON_NUMBER 4
#define COST_JSON_ERROR_TEXT 8
#define COST_JSON_LEVELS 16    /* open tables, of which a new one must be none */
#define COST_BASE64_TEXT 4
#define COST_DIGEST 100        /* and 1 for each byte */
#define COST_SHA256 50         /* the same */
#define COST_DATE 20
#define COST_DATE_TEXT 4       /* for each byte of the format */
#define COST_PRINT 20
#define COST_PRINT_TEXT 4
#define COST_HOST 1000         /* data of the network, and */
#define COST_HOST_TEXT 4

#endif
