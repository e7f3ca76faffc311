// An interactions endpoint as NestJS applications write it: a controller behind a guard that checks the signature.

import 'reflect-metadata';
import {
  type CanActivate, Controller, type ExecutionContext, HttpCode, Injectable, Module, Post, Req, UnauthorizedException,
  UseGuards, type RawBodyRequest,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { InteractionResponseType, InteractionType, verifyKey } from 'discord-interactions';

@Injectable()
class SignedByDiscord implements CanActivate {
  async canActivate(context: ExecutionContext) {
    const request = context.switchToHttp().getRequest();
    const signature = request.headers['x-signature-ed25519'];
    const timestamp = request.headers['x-signature-timestamp'];
    const valid =
      signature && timestamp && (await verifyKey(request.rawBody, signature, timestamp, process.env.DISCORD_PUBLIC_KEY!));
    if (!valid) throw new UnauthorizedException('The request is not signed by Discord.');
    return true;
  }
}

@Controller()
@UseGuards(SignedByDiscord)
class InteractionsController {
  @Post('interactions')
  @HttpCode(200)
  answer(@Req() request: RawBodyRequest<any>) {
    if (request.body.type === InteractionType.PING) return { type: InteractionResponseType.PONG };
    return { type: InteractionResponseType.CHANNEL_MESSAGE_WITH_SOURCE, data: { content: 'unknown', flags: 64 } };
  }
}

@Module({ controllers: [InteractionsController], providers: [SignedByDiscord] })
class AppModule {}

export async function createApp() {
  const app = await NestFactory.create(AppModule, new ExpressAdapter(), { rawBody: true, logger: false });
  await app.init();
  return app.getHttpAdapter().getInstance();
}
