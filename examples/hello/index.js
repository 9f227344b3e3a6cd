// The smallest function: answers with a greeting, tells its progress, and fails when it is asked to.
exports.handler = async (event, context) => {
  const name = event.toString() || "nobody";
  if (name === "fail") throw new Error("asked to fail");
  console.log(`greeting ${name}, attempt ${context.attempt}`);
  context.progress({ greeted: name });
  return `Hello, ${name}!`;
};
