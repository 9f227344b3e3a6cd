"use strict";
// The function of the workload. It writes what it does into the execution ledger, a file outside of everything that is
// broken, one line per event, in one write each, so that lines of many processes never mix:
//
//   start <account> <task id> <seq> <attempt> <epoch> <agent> <instance> <number> <pid> <ns>
//   end   <instance> <number> ok|failed|stopped|crashed <ns>
//   tick  <instance> <ns>            every 100 ms: all that this process has started and not ended still runs
//
// Times are CLOCK_MONOTONIC. The number counts the executions of a process.
const { openSync, writeSync } = require("node:fs");
const { basename, dirname } = require("node:path");

const tickMs = 100;
const ledger = openSync(process.env.LEDGER, "a");
const instance = process.env.FC_INSTANCE_ID;
// <folder of the agent>/work/<instance>
const agent = basename(dirname(dirname(process.env.TMPDIR)));

const write = (...words) => writeSync(ledger, `${words.join(" ")} ${process.hrtime.bigint()}\n`);

let count = 0;
let running = 0;
let ticks;

/** The event is JSON {account, taskId, ms, failures, crashes}: so many attempts fail, then so many crash, after `ms`. */
exports.handler = async (event, context) => {
  const { account, taskId, ms, failures, crashes } = JSON.parse(event.toString());
  const { attempt } = context;
  const seq = Number.parseInt(context.requestId.slice(-24, -8), 16);
  const epoch = Number(context.fenceToken.split("-")[1]);
  const number = ++count;
  write("start", context.accountId, context.taskId, seq, attempt, epoch, agent, instance, number, process.pid);
  if (++running === 1) ticks = setInterval(() => write("tick", instance), tickMs);
  const end = (how) => {
    write("end", instance, number, how);
    if (--running === 0) clearInterval(ticks);
  };
  const isStopped = await pause(ms, context.signal);
  if (isStopped) {
    end("stopped");
    throw new Error("stopped");
  }
  if (attempt <= failures) {
    end("failed");
    throw new Error("fails as it was told to");
  }
  if (attempt <= failures + crashes) {
    end("crashed");
    process.exit(3);
  }
  if (account !== context.accountId || taskId !== context.taskId) {
    end("failed");
    throw new Error(`got the input of ${account}/${taskId}`);
  }
  end("ok");
  return `${seq}#${attempt}`;
};

/** True if the signal aborts before the end. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const onAbort = () => {
      clearTimeout(timeout);
      resolve(true);
    };
    const timeout = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve(false);
    }, ms);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
  });
}
