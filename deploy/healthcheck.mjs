// Whether the service of this container is ready for work. Every service of the image has its HTTP server on this port.
const isReady = await fetch("http://127.0.0.1:8080/readyz").then(
  ({ ok }) => ok,
  () => false,
);
process.exit(isReady ? 0 : 1);
