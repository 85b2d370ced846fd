// rate_limiter_flexible.js PORT SECONDS — checks a second that the library decides with the Redis at PORT; prints one
// number. 256 checks of 10,000 keys are always in flight on one connection, which pipelines by itself.
const Redis = require('ioredis');
const { RateLimiterRedis } = require('rate-limiter-flexible');

const [port, seconds] = process.argv.slice(2).map(Number);
const client = new Redis({ host: '127.0.0.1', port, enableAutoPipelining: true });
const limiter = new RateLimiterRedis({ storeClient: client, points: 1000, duration: 3600 });
const nInFlight = 256;
let nChecks = 0;

const checkUntil = async (endsAtMs) => {
    while (Date.now() < endsAtMs) {
        const key = 'bench:' + String(Math.floor(Math.random() * 10000)).padStart(18, '0');
        await limiter.consume(key).catch((denied) => {
            if (denied instanceof Error) {
                throw denied;
            }
        });
        nChecks++;
    }
};

const run = async (forS) => {
    const beganAtMs = Date.now();
    nChecks = 0;
    await Promise.all(Array.from({ length: nInFlight }, () => checkUntil(beganAtMs + forS * 1000)));
    return (nChecks * 1000) / (Date.now() - beganAtMs);
};

run(0.3)
    .then(() => run(seconds))
    .then((perS) => console.log(perS.toFixed(0)))
    .catch((error) => {
        console.error(error.message);
        process.exitCode = 1;
    })
    .finally(() => client.disconnect());
