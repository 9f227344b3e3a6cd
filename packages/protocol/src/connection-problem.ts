import { AppError, type AppErrorDetails } from "@sluice/core";

/** Why a connection was not established, if that is not just an absent server; from the text of a failure of the transport. */
export function connectionProblem(text: string, details: AppErrorDetails): AppError | undefined {
  for (const { pattern, problem } of forms) {
    const match = pattern.exec(text);
    if (match) return problem(details, match[1] ?? match[0]);
  }
  return undefined;
}

interface Form {
  readonly pattern: RegExp;
  problem(details: AppErrorDetails, found: string): AppError;
}

// How the transport words it; there are no codes.
const forms: readonly Form[] = [
  {
    pattern: /wrong version number|packet length too long/,
    problem: (details) =>
      new AppError("unavailable", "TLS_NOT_SPOKEN", "the server does not use TLS; connect without it", details),
  },
  {
    pattern: /ERR_TLS_CERT_ALTNAME_INVALID.*altnames: (.*?)(?:\. Resolution note|$)/s,
    problem(details, found) {
      const message = `the server's certificate is for another host (${found}); use a name that it lists`;
      return new AppError("unavailable", "CERTIFICATE_WRONG_HOST", message, details);
    },
  },
  {
    pattern: /certificate has expired|certificate is not yet valid/,
    problem: (details, found) =>
      new AppError("unavailable", "CERTIFICATE_EXPIRED", `the server's ${found}; it needs another one`, details),
  },
  {
    pattern:
      /unable to verify the first certificate|self[- ]signed certificate|unable to get (?:local )?issuer certificate/,
    problem(details, found) {
      const message = `no authority that is trusted here signed the server's certificate (${found}); name its authority`;
      return new AppError("unavailable", "CERTIFICATE_UNTRUSTED", message, details);
    },
  },
  {
    pattern: /SSL routines:[^:]*:[^:]*\balert ([a-z ]+)/,
    problem(details, found) {
      const message = `the server wants a client certificate that it trusts (${found}); connect with one`;
      return new AppError("unavailable", "CLIENT_CERTIFICATE_REFUSED", message, details);
    },
  },
  {
    // It accepts, and closes before it says a word of HTTP/2: politely, or with what it was sent unread.
    pattern: /Last error: (?:Failed to connect \(|read ECONNRESET|write EPIPE)/,
    problem(details) {
      const message =
        "the server closes connections at once; it may want TLS, or a client certificate, or be about to end";
      return new AppError("unavailable", "CONNECTION_CLOSED", message, details);
    },
  },
];
